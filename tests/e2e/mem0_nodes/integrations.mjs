// @mem0/vercel-ai-provider and mem0's node for n8n, unchanged. Arguments: the server, a key, and a model server.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { addMemories, createMem0, getMemories, retrieveMemories, searchMemories } from "@mem0/vercel-ai-provider";
import { generateText, streamText } from "ai";

const [url, key, models] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const { Mem0 } = require("@mem0/n8n-nodes-mem0/dist/nodes/Mem0/Mem0.node.js");
const { Mem0Api } = require("@mem0/n8n-nodes-mem0/dist/credentials/Mem0Api.credentials.js");
const CARPENTER = "I work as a carpenter";
const QUESTION = "What is my profession?";

const useVercel = async () => {
  const config = { user_id: "vercel", mem0ApiKey: key, host: url };
  const added = await addMemories([{ role: "user", content: [{ type: "text", text: CARPENTER }] }], { ...config, infer: false });
  assert.equal(added.results[0].event, "ADD");
  assert.equal((await getMemories(QUESTION, config))[0].memory, CARPENTER);
  assert.equal((await searchMemories(QUESTION, { ...config, top_k: 1, rerank: true })).results.length, 1);
  assert.match(await retrieveMemories(QUESTION, config), /Memory: I work as a carpenter/);

  const provider = createMem0({ provider: "openai", mem0ApiKey: key, apiKey: "sk-any", config: { baseURL: models }, mem0Config: config });
  const model = provider.chat("any", { user_id: "vercel" });
  const whole = await generateText({ model, prompt: QUESTION });
  assert.ok(whole.text.length > 0);
  assert.equal(whole.sources[0].providerMetadata.mem0.memories[0].memory, CARPENTER);
  const streamed = streamText({ model, prompt: QUESTION });
  assert.equal(await streamed.text, whole.text);

  const error = console.error;
  console.error = () => {};
  await assert.rejects(getMemories(QUESTION, { ...config, mem0ApiKey: "m0-wrong" }), /status: 401/);
  console.error = error;
  return ["addMemories", "generateText", "getMemories", "retrieveMemories", "searchMemories", "streamText"];
};

// What n8n gives to a node: the parameters of one item, and requests with the credentials that the node declares.
const host = (parameters, apiKey = key) => ({
  getInputData: () => [{ json: {} }],
  getNode: () => ({ name: "Mem0", type: "mem0", typeVersion: 1, parameters }),
  getNodeParameter: (name, _item, otherwise) => parameters[name] ?? otherwise,
  getCredentials: async () => ({ apiKey, baseUrl: url }),
  continueOnFail: () => false,
  helpers: {
    async httpRequestWithAuthentication(_name, { method, url, body, qs }) {
      const declared = new Mem0Api().authenticate.properties.headers.Authorization;
      const authorization = declared.replace(/^=/, "").replace("{{$credentials.apiKey}}", apiKey);
      const headers = { authorization, "content-type": "application/json" };
      const answer = await fetch(`${url}?${new URLSearchParams(qs)}`, { method, headers, body: body && JSON.stringify(body) });
      const content = answer.status === 204 ? {} : await answer.json();
      if (!answer.ok) throw Object.assign(new Error(content.detail), { httpCode: String(answer.status) });
      return content;
    },
  },
});

const useN8n = async () => {
  const used = new Set();
  const run = async (operation, parameters, apiKey) => {
    used.add(operation);
    const [items] = await new Mem0().execute.call(host({ operation, ...parameters }, apiKey));
    return items.map((item) => item.json);
  };
  const said = { userId: "n8n", "messages.message": [{ role: "user", content: CARPENTER }] };
  const [added] = await run("add", { ...said, addFields: { infer: false, metadata: '{"topic":"work"}', run_id: "r1" } });
  assert.equal(added.event, "ADD");
  const [extracted] = await run("add", { userId: "n8n", "messages.message": [{ role: "user", content: "I live in Lisbon" }] });
  assert.equal(extracted.data.memory, "I live in Lisbon", "the node waits for the event");
  const [best] = await run("search", { query: QUESTION, userId: "n8n", limit: 1 });
  assert.equal(best.memory, CARPENTER);
  assert.equal((await run("search", { query: QUESTION, userId: "nobody", runId: "r1" }))[0].id, added.id);
  assert.equal((await run("getAll", { userId: "n8n", returnAll: true, pageSize: 1 })).length, 2);
  assert.equal((await run("getAll", { userId: "n8n", page: 1, pageSize: 1 })).length, 1);
  const memoryId = added.id;
  assert.deepEqual((await run("get", { memoryId }))[0].metadata, { topic: "work" });
  assert.equal((await run("update", { memoryId, text: "I work as a joiner" }))[0].memory, "I work as a joiner");
  assert.equal((await run("delete", { memoryId }))[0].message, "Memory deleted successfully!");
  await assert.rejects(run("get", { memoryId }), (error) => error.httpCode === "404");
  await assert.rejects(run("get", { memoryId }, "m0-wrong"), (error) => error.httpCode === "401");
  const offered = new Mem0().description.properties.find(({ name }) => name === "operation").options;
  assert.deepEqual([...used].sort(), offered.map(({ value }) => value).sort());
  return [...used].sort();
};

console.log(JSON.stringify({ "vercel-ai-provider": await useVercel(), n8n: await useN8n() }));
process.exit(0);
