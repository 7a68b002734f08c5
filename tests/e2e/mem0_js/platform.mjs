// What mem0's client for JavaScript asks for besides memories, and every failure it has a class for.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  AuthenticationError,
  MemoryError,
  MemoryNotFoundError,
  MemoryQuotaExceededError,
  NetworkError,
  RateLimitError,
  ValidationError,
  WebhookEvent,
} from "mem0ai";
import { connect, finish, refused, until } from "./house.mjs";

const [url, apiKey, readKey, moodyUrl] = process.argv.slice(2);
const client = connect(apiKey, url);
const reader = connect(readKey, url);
await client.ping();
const keep = async (text, userId, metadata = {}) => client.add(text, { userId, metadata, infer: false });
const iso = (text) => assert.ok(Number.isFinite(Date.parse(text)), text);

// the project, and its settings
const settings = {
  customInstructions: "Only food",
  agentCustomInstructions: "Only promises",
  customCategories: [{ eating_out: "Where they eat" }, { drinks: "What they drink" }],
  multilingual: true,
  decay: true,
};
assert.deepEqual(await client.updateProject(settings), { message: "Project updated successfully" });
assert.deepEqual(await client.getProject({ fields: Object.keys(settings) }), settings);
const project = await client.getProject({});
assert.equal(project.projectId, client.projectId);
assert.equal(project.customInstructions, "Only food");
assert.ok(Array.isArray(project.members));
await client.updateProject({ customInstructions: "" });
assert.deepEqual(await client.getProject({ fields: ["customInstructions", "decay"] }), {
  customInstructions: null,
  decay: true,
});
await refused(ValidationError, "HTTP_400", () => client.updateProject({ customCategories: [{}] }), /custom_categories/);
await refused(AuthenticationError, "HTTP_403", () => reader.updateProject({ decay: false }), /projects:write/);

// webhooks
assert.deepEqual(await client.getWebhooks(), []);
const eventTypes = [WebhookEvent.MEMORY_ADDED, WebhookEvent.MEMORY_DELETED];
const hook = await client.createWebhook({ name: "Hook", url: "https://hooks.example/in", eventTypes });
assert.equal(hook.project, client.projectId);
assert.deepEqual([hook.name, hook.url, hook.eventTypes, hook.isActive], ["Hook", "https://hooks.example/in", eventTypes, true]);
iso(hook.createdAt);
const { webhookId } = hook;
const every = Object.values(WebhookEvent);
assert.deepEqual(await client.updateWebhook({ webhookId, name: "Other", eventTypes: every }), {
  message: "Webhook updated successfully",
});
const [changed] = await client.getWebhooks({ projectId: client.projectId });
assert.deepEqual([changed.webhookId, changed.name, changed.url], [webhookId, "Other", "https://hooks.example/in"]);
assert.deepEqual([...changed.eventTypes].sort(), [...every].sort());
await refused(
  ValidationError,
  "HTTP_400",
  () => client.createWebhook({ name: "Hook", url: "https://hooks.example/in", eventTypes: ["nonsense"] }),
  /event_types/,
);
await refused(MemoryNotFoundError, "HTTP_404", () => client.getWebhooks({ projectId: randomUUID() }));
assert.deepEqual(await client.deleteWebhook({ webhookId }), { message: "Webhook deleted successfully" });
await refused(MemoryNotFoundError, "HTTP_404", () => client.deleteWebhook({ webhookId }));
await refused(MemoryNotFoundError, "HTTP_404", () => client.updateWebhook({ webhookId, name: "x" }));

// exports
await keep("I moved house last spring", "alice", { home_city: "Rome" });
const schema = { properties: { home_city: { type: "string" }, memories: { type: "array" } } };
const filters = { user_id: "alice" };
const made = await client.createMemoryExport({ schema, filters, exportInstructions: "Be brief" });
assert.match(made.id, /^[0-9a-f-]{36}$/);
const expected = { homeCity: "Rome", memories: ["I moved house last spring"] };
assert.deepEqual(await client.getMemoryExport({ memoryExportId: made.id }), expected);
assert.deepEqual(await client.getMemoryExport({ filters }), expected);
await refused(
  MemoryNotFoundError,
  "HTTP_404",
  () => client.getMemoryExport({ memoryExportId: randomUUID() }),
  /No memory export request found/,
);

// user profiles
assert.equal((await client.getProfile({ entityId: "alice" })).status, "not_enabled");
await refused(ValidationError, "HTTP_400", () => client.generateProfile({ entityId: "alice" }), /disabled/);
await refused(ValidationError, "HTTP_400", () => client.sampleProfiles(), /disabled/);
const profileSchema = {
  type: "object",
  properties: {
    home_city: { type: "string", description: "The city they live in" },
    shoe_size: { type: "integer", description: "The size of their shoes" },
  },
};
const undescribed = { properties: { age: { type: "integer" } } };
await refused(
  ValidationError,
  "HTTP_400",
  () => client.updateProfileSettings({ schema: undescribed }),
  /needs a description/,
);
const written = await client.updateProfileSettings({
  enabled: true,
  schema: profileSchema,
  customInstructions: "Cities in English",
});
assert.equal(written.enabled, true);
assert.deepEqual(written.entities.user, { schema: profileSchema, customInstructions: "Cities in English" });
assert.deepEqual(await client.getProfileSettings(), written);
assert.equal(
  (await client.updateProfileSettings({ customInstructions: null })).entities.user.customInstructions,
  null,
);
const terminal = ({ job }) => !["pending", "running"].includes(job.status);
const started = await client.generateProfile({ entityId: "alice", idempotencyKey: "k" });
assert.deepEqual([started.operation, started.entityType, started.replayed], ["trigger", "user", false]);
assert.equal(started.entityCountReserved, 1);
assert.match(started.eventId, /^[0-9a-f-]{36}$/);
const { job } = await until(() => client.getProfileJob(started.statusUrl), terminal);
assert.deepEqual(
  [job.id, job.status, job.total, job.completed, job.succeeded, job.failed, job.skipped, job.enumerationComplete],
  [started.jobId, "succeeded", 1, 1, 1, 0, 0, true],
);
assert.deepEqual((await client.getProfileJob(started.jobId)).job, job);
assert.equal((await client.generateProfile({ entityId: "alice", idempotencyKey: "k" })).replayed, true);
const profile = await client.getProfile({ entityId: "alice" });
assert.deepEqual(profile.profile, { home_city: "Rome", shoe_size: null });
assert.deepEqual(
  [profile.status, profile.entityType, profile.entityId, profile.generationCount, profile.error],
  ["succeeded", "user", "alice", 1, null],
);
iso(profile.updatedAt);
await keep("I like tea", "team/bob", { home_city: "Oslo" });
const sample = await client.sampleProfiles({ limit: 2 });
assert.deepEqual([sample.sampled, sample.eventId], [2, null]);
assert.deepEqual([...sample.entityIds].sort(), ["alice", "team/bob"]);
assert.equal((await until(() => client.getProfileJob(sample.statusUrl), terminal)).job.succeeded, 2);
assert.equal((await client.getProfile({ entityId: "team/bob" })).profile.home_city, "Oslo");
await refused(RateLimitError, "HTTP_429", () => client.sampleProfiles(), /One sample can be requested/);
await refused(MemoryNotFoundError, "HTTP_404", () => client.getProfile({ entityId: "nobody" }), /no such user/);
await refused(MemoryNotFoundError, "HTTP_404", () => client.getProfileJob(randomUUID()));

// every failure that has a class of its own
const stranger = connect("ks_nonsense", url);
await refused(AuthenticationError, "HTTP_401", () => stranger.ping(), /not valid|Sign in/);
await refused(AuthenticationError, "HTTP_401", () => stranger.getAll({ filters }));
const huge = "x".repeat(5 << 20);
await refused(MemoryQuotaExceededError, "HTTP_413", () => keep(huge, "alice"), /MAX_BODY_BYTES/);
const moody = connect(apiKey, moodyUrl);
for (const [status, kind] of [
  [500, MemoryError],
  [502, NetworkError],
  [503, NetworkError],
  [504, NetworkError],
]) {
  await refused(kind, `HTTP_${status}`, () => moody.search(`fail with ${status}`, { filters }));
}
const busy = await fetch(`${moodyUrl}/v3/memories/search/`, {
  method: "POST",
  headers: { Authorization: `Token ${apiKey}`, "Content-Type": "application/json" },
  body: JSON.stringify({ query: "fail with 503", filters }),
});
assert.equal(busy.headers.get("Retry-After"), "7");

finish();
