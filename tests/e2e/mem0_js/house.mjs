// What both scripts share: a client that notes what was asked of it, and how a refusal is looked at.
import assert from "node:assert/strict";
import { MemoryClient } from "mem0ai";

const called = new Set();
const METHODS = Object.getOwnPropertyNames(MemoryClient.prototype).filter(
  (name) => name !== "constructor" && !name.startsWith("_"),
);

export const connect = (apiKey, host) =>
  new Proxy(new MemoryClient({ apiKey, host }), {
    get(client, name) {
      if (!METHODS.includes(name)) return client[name];
      called.add(name);
      return client[name].bind(client);
    },
  });

export const refused = async (kind, code, call, says = /./) =>
  assert.rejects(call, (error) => {
    assert.equal(error.constructor, kind, `${error.name}: ${error.message}`);
    assert.equal(error.errorCode, code);
    assert.match(error.message, says);
    // This client's message is the body as it came: ours is JSON with a sentence and a word for programs.
    const body = JSON.parse(error.message);
    assert.equal(typeof body.detail, "string");
    assert.match(body.code, /^[a-z_]+$/);
    assert.ok(error.suggestion.length > 0);
    return true;
  });

export const until = async (ask, done) => {
  for (let tries = 0; tries < 1200; tries += 1) {
    const reply = await ask();
    if (done(reply)) return reply;
    await new Promise((later) => setTimeout(later, 50));
  }
  throw new Error("it never ended");
};

export const finish = () => {
  console.log(JSON.stringify({ called: [...called], methods: METHODS }));
  process.exit(0);
};
