/** Who changed what, newest first. */

import { call, listAll } from "../api.js";
import { button, failure, fill, form, h, time } from "../elements.js";
import { Latest } from "../latest.js";
import { startOfDay } from "../memories/filters.js";
import { texts } from "../texts.js";

const words = texts.operations;
const PAGE_SIZE = 25;
const SHORT_ID = 8;

/**
 * @typedef {{id: string, action: string, actor: {type: string, id: string | null}, target_id: string, project_id: string | null,
 *   details: Record<string, unknown>, created_at: string}} Entry
 * @typedef {{results: Entry[], next: string | null}} Entries
 */

export class AuditSection {
  constructor() {
    this.latest = new Latest();
    /** The names of accounts and keys by their ids. @type {Map<string, string>} */
    this.names = new Map();
    /** The names of what was changed. @type {Map<string, string>} */
    this.targets = new Map();
    this.list = h("ul", { class: "cards audit" });
    this.status = h("div", { role: "status" }, h("p", {}, texts.loading));
    this.more = h("div", { class: "actions" });
    this.action = select(words.anyAction, words.actions.flatMap(([noun, ...verbs]) => verbs.map((verb) => [`${noun}.${verb}`, actionText(`${noun}.${verb}`)])));
    this.actor = select(words.anyActor, []);
    this.since = /** @type {HTMLInputElement} */ (h("input", { type: "date" }));
    this.until = /** @type {HTMLInputElement} */ (h("input", { type: "date" }));
    this.target = "";
    this.chosenTarget = h("p", { class: "chosen" });
    this.element = h("section", { "aria-labelledby": "audit-title" }, h("h2", { id: "audit-title" }, words.audit), h("p", { class: "hint" }, words.auditHint), this.filters(), this.chosenTarget, this.status, this.list, this.more);
  }

  filters() {
    const choices = [h("label", { class: "inline" }, words.action, this.action), h("label", { class: "inline" }, words.actor, this.actor), h("label", { class: "inline" }, words.since, this.since), h("label", { class: "inline" }, words.until, this.until)];
    const element = form([...choices, button(words.clear, () => this.clear())], () => this.reload(), { class: "row filters" });
    element.addEventListener("change", () => this.reload());
    return element;
  }

  clear() {
    for (const each of [this.action, this.actor, this.since, this.until]) each.value = "";
    return this.chooseTarget("");
  }

  /** @param {string} id */
  chooseTarget(id) {
    this.target = id;
    fill(this.chosenTarget, id && words.onlyTarget(this.nameOf(id)), " ", id && button(words.anyTarget, () => this.chooseTarget(""), { class: "small" }));
    return this.reload();
  }

  async load() {
    await this.loadNames();
    await this.reload();
  }

  /** Without the right to read them, entries show ids. */
  async loadNames() {
    const [members, keys, webhooks, ...owners] = await Promise.allSettled([this.readMembers(), listAll("/v1/api-keys"), this.readWebhooks(), listAll("/v1/projects"), listAll("/v1/organizations")]);
    for (const named of owners) if (named.status === "fulfilled") for (const each of named.value) this.targets.set(each.id, each.name);
    if (webhooks.status === "fulfilled") for (const each of webhooks.value) this.targets.set(each.webhook_id, each.name);
    if (members.status === "fulfilled") for (const each of members.value) this.names.set(each.account_id, each.email);
    if (keys.status === "fulfilled") for (const each of keys.value) this.names.set(each.id, each.name);
    fill(this.actor, h("option", { value: "" }, words.anyActor), ...[...this.names].map(([id, name]) => h("option", { value: id }, name)));
  }

  async readMembers() {
    const { project_id: project } = await call("GET", "/v1/ping/");
    return listAll(`/v1/projects/${project}/members`);
  }

  /** @returns {Promise<Array<{webhook_id: string, name: string}>>} */
  async readWebhooks() {
    const { project_id: project } = await call("GET", "/v1/ping/");
    return call("GET", `/api/v1/webhooks/projects/${project}/`);
  }

  /** @param {string | null} [cursor] */
  path(cursor) {
    const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
    if (this.action.value) query.set("action", this.action.value);
    if (this.actor.value) query.set("actor_id", this.actor.value);
    if (this.target) query.set("target_id", this.target);
    if (this.since.value) query.set("since", startOfDay(this.since.value, 0));
    if (this.until.value) query.set("until", startOfDay(this.until.value, 1));
    if (cursor) query.set("cursor", cursor);
    return `/v1/admin/audit?${query}`;
  }

  async reload() {
    await this.latest.run(
      () => call("GET", this.path()),
      (/** @type {Entries} */ page) => {
        fill(this.list);
        fill(this.status, page.results.length ? null : h("p", { class: "empty" }, words.nothingAudited));
        this.append(page);
      },
      (error) => this.fail(error, () => this.reload()),
    );
  }

  /** @param {string} cursor */
  async loadMore(cursor) {
    await this.latest.run(
      () => call("GET", this.path(cursor)),
      (page) => this.append(page),
      (error) => this.fail(error, () => this.loadMore(cursor)),
    );
  }

  /** @param {unknown} error @param {() => unknown} again */
  fail(error, again) {
    fill(this.status, failure(error, again));
  }

  /** @param {Entries} page */
  append(page) {
    const next = page.next;
    this.list.append(...page.results.map((each) => this.item(each)));
    fill(this.more, next && button(words.more, () => this.loadMore(next)));
  }

  /** @param {Entry} entry */
  item(entry) {
    const actor = entry.actor.id ? this.nameOf(entry.actor.id) : (words.actors[/** @type {"server"} */ (entry.actor.type)] ?? entry.actor.type);
    return h(
      "li",
      {},
      h("p", { class: "facts" }, time(entry.created_at), h("span", {}, words.byActor(actor, entry.actor.type))),
      h("p", {}, h("strong", {}, actionText(entry.action)), " ", h("code", { title: entry.target_id }, this.nameOf(entry.target_id)), " ", !this.target && button(words.onlyThis, () => this.chooseTarget(entry.target_id), { class: "small", "aria-label": `${words.onlyThis}: ${this.nameOf(entry.target_id)}` })),
      Object.keys(entry.details).length > 0 && h("p", { class: "facts details" }, Object.entries(entry.details).map(([name, value]) => h("span", {}, `${name.replaceAll("_", " ")}: ${detailText(value)}`))),
    );
  }

  /** @param {string} id */
  nameOf(id) {
    return this.names.get(id) ?? this.targets.get(id) ?? id.slice(0, SHORT_ID);
  }
}

/** @param {string} any @param {string[][]} options */
function select(any, options) {
  const all = [["", any], ...options].map(([value, label]) => h("option", { value }, label));
  return /** @type {HTMLSelectElement} */ (h("select", {}, all));
}

/** @param {string} action */
function actionText(action) {
  const [noun, verb] = action.split(".");
  const text = noun.replaceAll("_", " ").replace("api", "API");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)} ${verb ?? ""}`.trim();
}

/** @param {unknown} value */
function detailText(value) {
  if (Array.isArray(value)) return value.map((each) => String(each).replace(/^settings\./, "").replaceAll("_", " ")).join(", ") || "–";
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? "–");
}
