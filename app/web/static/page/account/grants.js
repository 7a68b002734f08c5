/** The applications that may act as this person, and the end of their access. */

import { call, listAll } from "../api.js";
import { announce, ask, dateText, h } from "../elements.js";
import { actionRow, Loaded } from "../developers/loaded.js";
import { texts } from "../texts.js";

const words = texts.account;

/** @typedef {{id: string, name: string, created_at: string, last_used_at: string | null, scopes: string[], client: import("../developers/keys.js").Client | null}} Grant */

/** @returns {HTMLElement} */
export function ownGrants() {
  /** @type {Loaded} */
  const list = new Loaded(async () => {
    const grants = /** @type {Grant[]} */ (await listAll("/v1/grants"));
    return grants.length ? h("ul", { class: "cards" }, grants.map((each) => card(each, () => list.reload()))) : h("p", {}, words.noGrant);
  });
  void list.reload();
  return list.element;
}

/** @param {Grant} grant @param {() => Promise<void>} done */
function card(grant, done) {
  return h(
    "li",
    { class: "card" },
    h("h3", {}, grant.name),
    grant.client && clientFacts(grant, grant.client, words.grantedOn(dateText(grant.created_at))),
    h("ul", { class: "scopes" }, grant.scopes.map((scope) => h("li", {}, texts.authorize.scopes[scope] ?? scope))),
    actionRow(grant.name, [[words.endGrant, () => end(grant, done)]]),
  );
}

/** @param {{last_used_at: string | null}} grant @param {import("../developers/keys.js").Client} client @param {...string} more */
export function clientFacts(grant, client, ...more) {
  const facts = [...more, client.document ? words.publishedAt(client.document) : words.registeredItself, words.returnedTo(client.redirect_uri), `${texts.developers.lastUse}: ${dateText(grant.last_used_at) || texts.developers.never}`];
  return h("p", { class: "facts" }, facts.map((each) => h("span", {}, each)));
}

/** @param {Grant} grant @param {() => Promise<void>} done */
async function end(grant, done) {
  if (!(await ask({ title: words.endGrantTitle, body: words.endGrantBody(grant.name), agree: words.endGrant, cancel: texts.cancel, danger: true }))) return;
  await call("DELETE", `/v1/grants/${grant.id}`);
  announce(words.grantEnded);
  await done();
}
