// What OpenAI's client for JavaScript asks for: completions, models, embeddings, responses, conversations, and failures.
import assert from "node:assert/strict";
import OpenAI, { AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from "openai";

const [url, apiKey, otherKey, limitedUrl] = process.argv.slice(2);
const connect = (key, base = url) => new OpenAI({ apiKey: key, baseURL: `${base}/v1`, maxRetries: 0 });
const client = connect(apiKey);
const model = "test-model";
const ask = (content, more = {}) =>
  client.chat.completions.create({ model, user: "ann", messages: [{ role: "user", content }], ...more });

const whole = await ask("I live in Porto.");
assert.equal(whole.choices[0].message.content, "Hello there.");
assert.ok(whole.keepsake.will_remember);

let text = "";
let usage = null;
for await (const chunk of await ask("Hi", { stream: true, stream_options: { include_usage: true } })) {
  text += chunk.choices[0]?.delta.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, "Hello there.");
assert.equal(usage.completion_tokens, 3);

const helper = client.chat.completions.stream({ model, user: "ann", messages: [{ role: "user", content: "Hi" }] });
assert.equal(await helper.finalContent(), "Hello there.");

const left = await ask("Hi", { stream: true });
for await (const _ of left) break; // the client aborts the request

const models = [];
for await (const each of client.models.list()) models.push(each.id);
assert.ok(models.includes(model));
assert.equal((await client.models.retrieve(model)).id, model);
const { data } = await client.embeddings.create({ model: "any", input: ["tea", "ships"] });
const plain = await client.embeddings.create({ model: "any", input: "tea", encoding_format: "float" });
assert.equal(data.length, 2);
data[0].embedding.forEach((value, place) => assert.ok(Math.abs(value - plain.data[0].embedding[place]) < 1e-6));

const first = await client.responses.create({ model, user: "ann", input: "My colour is teal." });
assert.equal(first.output_text, "Hello there.");
for await (const _ of await client.responses.create({ model, user: "ann", input: "Hi", stream: true })) break;
let finished;
const events = await client.responses.create({
  model,
  user: "ann",
  input: "Which colour?",
  previous_response_id: first.id,
  stream: true,
});
for await (const event of events) if (event.type === "response.completed") finished = event.response;
assert.equal(finished.conversation.id, first.conversation.id);
assert.equal((await client.responses.retrieve(finished.id)).output_text, "Hello there.");
await client.responses.delete(finished.id);
const conversation = await client.conversations.create({ metadata: { user_id: "ann" } });
await client.conversations.items.create(conversation.id, { items: [{ role: "user", content: "Hello" }] });
const items = [];
for await (const item of client.conversations.items.list(conversation.id)) items.push(item.content[0].text);
assert.deepEqual(items, ["Hello"]);
assert.ok((await client.conversations.delete(conversation.id)).deleted);

await assert.rejects(connect("ks_wrong").models.list(), AuthenticationError);
await assert.rejects(ask("Hi", { model: "gpt-unknown" }), NotFoundError);
await assert.rejects(ask("Hi", { metadata: { privacy_mode: "incognitoo" } }), (error) => {
  assert.ok(error instanceof BadRequestError);
  assert.deepEqual([error.code, error.param], ["invalid_request", "privacy_mode"]);
  return true;
});
await assert.rejects(connect(otherKey).responses.retrieve(first.id), NotFoundError);
const limited = connect(apiKey, limitedUrl);
await limited.models.list();
await assert.rejects(limited.models.list(), RateLimitError);
