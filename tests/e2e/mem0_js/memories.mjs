// Every memory call of mem0's client for JavaScript, and every refusal it promises.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { AuthenticationError, MemoryNotFoundError, RateLimitError, ValidationError } from "mem0ai";
import { connect, finish, refused, until } from "./house.mjs";

const [url, apiKey, readKey, limitedUrl] = process.argv.slice(2);
const client = connect(apiKey, url);
const hers = { user_id: "alice" };

const event = async (id) => {
  const reply = await until(
    () => client.client.get(`/v1/event/${id}/`),
    ({ data }) => ["SUCCEEDED", "FAILED"].includes(data.status),
  );
  return reply.data;
};
const keep = async (text, more = {}) => {
  const added = await client.add(text, { userId: "alice", infer: false, ...more });
  return added.results[0].id;
};
const texts = async (filters = hers) => (await client.getAll({ filters })).results.map((row) => row.memory);

// ping
await client.ping();
assert.match(client.organizationId, /^[0-9a-f-]{36}$/);
assert.match(client.projectId, /^[0-9a-f-]{36}$/);

// add, and what came of it
const added = await client.add(
  [
    { role: "user", content: "I am allergic to peanuts." },
    { role: "assistant", content: "Noted!" },
  ],
  { userId: "alice", metadata: { favouriteTopic: "health" } },
);
assert.equal(added.status, "PENDING");
const done = await event(added.eventId);
assert.equal(done.status, "SUCCEEDED");
assert.equal(done.results[0].data.memory, "I am allergic to peanuts.");
const extracted = await client.get(done.results[0].id);
assert.deepEqual(extracted.metadata, { favouriteTopic: "health" });

// word for word, with everything that can be said about a memory
const tea = await keep("I like tea", { runId: "r1", agentId: "a1", appId: "app", expirationDate: "2999-12-31" });
const memory = await client.get(tea);
assert.equal(memory.memory, "I like tea");
assert.equal(memory.userId, "alice");
assert.equal(memory.runId, "r1");
assert.equal(memory.sessionId, "r1");
assert.equal(memory.expirationDate, "2999-12-31");
assert.match(memory.profileId, /^[0-9a-f-]{36}$/);
assert.equal(memory.categories === null || Array.isArray(memory.categories), true);
assert.ok(Number.isFinite(Date.parse(memory.createdAt)));
assert.equal(memory.structuredAttributes.year, new Date(memory.createdAt).getUTCFullYear());
const picture = { role: "user", content: { type: "image_url", image_url: { url: "data:," } } };
await refused(ValidationError, "HTTP_400", () => client.add([picture], { userId: "alice" }), /nothing to remember/);

// list, in both spellings of filters
assert.deepEqual(await texts({ userId: "alice", runId: "r1" }), ["I like tea"]);
const page = await client.getAll({ filters: hers, page: 1, pageSize: 1 });
assert.equal(page.count, 2);
assert.ok(page.next.startsWith(`${url}/v3/memories/?`));
assert.equal(page.previous, null);
await refused(ValidationError, "HTTP_400", () => client.getAll(), /Filters must name/);

// search
const found = await client.search("What can she not eat?", { filters: hers, topK: 1, threshold: 0 });
assert.equal(found.results[0].memory, "I am allergic to peanuts.");
assert.ok(found.results[0].score > 0 && found.results[0].score <= 1);

// update and history
const changed = await client.update(extracted.id, { text: "I can eat peanuts again" });
assert.equal(changed.memory, "I can eat peanuts again");
assert.deepEqual(changed.metadata, { favouriteTopic: "health" });
assert.equal((await client.update(tea, { expirationDate: null })).expirationDate, null);
const history = await client.history(extracted.id);
assert.deepEqual(
  history.map((row) => [row.event, row.oldMemory, row.newMemory]),
  [
    ["ADD", null, "I am allergic to peanuts."],
    ["UPDATE", "I am allergic to peanuts.", "I can eat peanuts again"],
  ],
);

// feedback
const opinion = await client.feedback({ memoryId: tea, feedback: "POSITIVE", feedbackReason: "True" });
assert.deepEqual([opinion.feedback, opinion.feedbackReason], ["POSITIVE", "True"]);

// batches
assert.deepEqual(await client.batchUpdate([{ memoryId: tea, text: "I like coffee" }]), {
  message: "Successfully updated 1 memories",
});
assert.equal((await client.get(tea)).memory, "I like coffee");
assert.deepEqual(await client.batchDelete([tea]), { message: "Successfully deleted 1 memories" });
await refused(MemoryNotFoundError, "HTTP_404", () => client.batchDelete([tea]), /There is no memory/);

// delete
assert.deepEqual(await client.delete(extracted.id), { message: "Memory deleted successfully!" });
await refused(MemoryNotFoundError, "HTTP_404", () => client.get(extracted.id));
assert.doesNotMatch(JSON.stringify(await client.history(extracted.id)), /peanuts/);
await refused(ValidationError, "HTTP_400", () => client.get("nonsense"), /UUID/);
await refused(MemoryNotFoundError, "HTTP_404", () => client.get(randomUUID()));

// delete_all: never everything, and all ids together
await keep("Only hers");
await keep("Hers in the run", { runId: "r1" });
await refused(ValidationError, "HTTP_400", () => client.deleteAll(), /requires at least one of/);
const gone = await client.deleteAll({ userId: "alice", runId: "r1" });
assert.match(gone.eventId, /^[0-9a-f-]{36}$/);
assert.deepEqual(await texts(), ["Only hers"]);

// entities
await keep("His", { userId: "team/bob" });
const users = await client.users();
assert.deepEqual(users.results.map((row) => [row.type, row.name, row.totalMemories]).sort(), [
  ["user", "alice", 1],
  ["user", "team/bob", 1],
]);
assert.equal((await client.users({ page: 2, pageSize: 1 })).results.length, 1);
const alice = users.results.find((row) => row.name === "alice");
assert.match((await client.deleteUser({ entity_id: Number(alice.id), entity_type: "user" })).message, /progress/);
await client.deleteUsers({ userId: "team/bob" });
assert.equal((await client.users()).count, 0);
await keep("Last", { agentId: "a1" });
assert.match((await client.deleteUsers()).message, /All users/);
await assert.rejects(() => client.deleteUsers(), /No entities to delete/);

// refusals
const reader = connect(readKey, url);
await refused(AuthenticationError, "HTTP_403", () => reader.add("hi", { userId: "alice" }), /memories:write/);
const limited = connect(apiKey, limitedUrl);
await limited.ping();
const tooOften = async () => {
  for (let calls = 0; calls < 5; calls += 1) await limited.getAll({ filters: hers });
};
await refused(RateLimitError, "HTTP_429", tooOften, /Rate limit of/);
// This client does not read the header. Other clients find there when to retry.
const headers = { Authorization: `Token ${apiKey}` };
const slower = await fetch(`${limitedUrl}/v1/memories/?user_id=alice`, { headers });
assert.equal(slower.status, 429);
assert.match(slower.headers.get("Retry-After"), /^[1-9][0-9]*$/);
assert.equal(slower.headers.get("X-RateLimit-Remaining"), "0");

finish();
