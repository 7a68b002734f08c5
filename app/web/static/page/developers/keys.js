/** API keys: make, rotate and revoke them. */

import { call, listAll } from "../api.js";
import { announce, ask, dateText, fill, h } from "../elements.js";
import { clientFacts } from "../account/grants.js";
import { quickstart, secretBox } from "../start/quickstart.js";
import { texts } from "../texts.js";
import { askForm } from "./dialog.js";
import { choice } from "./fields.js";
import { keyForm, scopeSummary } from "./key_form.js";
import { actionRow, Loaded, showNew } from "./loaded.js";

const words = texts.developers;

/**
 * @typedef {{id: string, name: string, prefix: string, scopes: string[], created_by: {account_id: string, email: string | null} | null,
 *   created_at: string, expires_at: string | null, last_used_at: string | null, revoked_at: string | null, client: Client | null}} ApiKey
 * @typedef {{document: string | null, redirect_uri: string}} Client of a grant, which is listed with the keys
 */

/** @param {import("./developers.js").Project} project */
export async function show(project) {
  const issued = h("div", { role: "status" });
  const lines = h("div", {}, quickstart("ks_…"));
  const list = new Loaded(async () => {
    const keys = /** @type {ApiKey[]} */ (await listAll("/v1/api-keys"));
    const shown = keys.filter((each) => !each.revoked_at);
    return shown.length ? h("ul", { class: "cards" }, shown.map((each) => card(each, project, done))) : h("p", { class: "empty" }, words.none);
  });
  /** @param {(ApiKey & {key: string}) | null} key null: a key has ended, and lines that may show it with it @param {string} [note] */
  const done = async (key, note) => {
    fill(issued, key && secretBox(words.keyOnce, key.key), note && h("p", {}, note), key && h("p", {}, words.useBelow));
    fill(lines, quickstart(key?.key ?? "ks_…"));
    if (key) showNew(issued);
    await list.reload();
  };
  await list.reload();
  return [
    h("section", {}, h("h2", {}, words.keys), h("p", {}, words.keysIntro), project.role === "OWNER" && keyForm(done), issued, list.element),
    h("section", {}, h("h2", {}, words.quickstart), lines, h("p", {}, h("a", { href: "docs" }, words.docs))),
  ];
}

/** @param {ApiKey} key @param {import("./developers.js").Project} project @param {(key: any) => Promise<void>} done */
function card(key, project, done) {
  const creator = key.created_by ? (key.created_by.email ?? words.formerMember) : words.operator;
  const ends = key.expires_at ? `${words.expiresAt} ${dateText(key.expires_at)}` : words.noExpiry;
  const facts = [
    `${words.by} ${creator}, ${dateText(key.created_at)}`,
    `${words.lastUse}: ${dateText(key.last_used_at) || words.never}`,
    ends,
  ];
  return h(
    "li",
    { class: "card" },
    h("h3", {}, key.name, " ", key.client ? h("span", { class: "hint" }, words.grant) : h("code", {}, `${key.prefix}…`)),
    key.client ? clientFacts(key, key.client, `${words.allowedBy} ${creator}, ${dateText(key.created_at)}`, ends) : h("p", { class: "facts" }, facts.map((each) => h("span", {}, each))),
    scopeSummary(key.scopes),
    project.role === "OWNER" && actionRow(key.name, [!key.client && [words.rotate, () => rotate(key, done)], [words.revoke, () => revoke(key, done)]]),
  );
}

/** @param {ApiKey} key @param {(key: any, note: string) => Promise<void>} done */
async function rotate(key, done) {
  const overlap = choice(words.overlap, words.overlaps, { value: "86400" });
  let issued = null;
  const body = [h("blockquote", {}, key.name), h("p", {}, words.rotateBody), overlap.row];
  const agreed = await askForm({ title: words.rotateTitle, body, agree: words.rotate }, async () => {
    issued = await call("POST", `/v1/api-keys/${key.id}/rotate`, { overlap_seconds: Number(overlap.input.value) });
  });
  const seconds = Number(overlap.input.value);
  const until = dateText(new Date(Date.now() + seconds * 1000).toISOString());
  if (agreed) await done(issued, seconds ? words.oldWorksUntil(key.name, until) : words.oldEnded(key.name));
}

/** @param {ApiKey} key @param {(key: any) => Promise<void>} done */
async function revoke(key, done) {
  const body = [h("blockquote", {}, key.name), h("p", {}, words.revokeBody)];
  if (!(await ask({ title: words.revokeTitle, body, agree: words.revoke, cancel: texts.cancel, danger: true }))) return;
  await call("DELETE", `/v1/api-keys/${key.id}`);
  announce(words.revoked);
  await done(null);
}
