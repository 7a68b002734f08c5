/** Webhooks: where the project's changes are sent. The log of one is at `#developers/webhooks/<id>`. */

import { call } from "../api.js";
import { announce, ask, dateText, fill, h } from "../elements.js";
import { secretBox } from "../start/quickstart.js";
import { texts } from "../texts.js";
import { deliveryLog } from "./deliveries.js";
import { actionRow, editIn, Loaded, showNew } from "./loaded.js";
import { webhookForm } from "./webhook_form.js";

const words = texts.developers.webhooks;
const NEW = { name: "", url: "", event_types: ["memory_add", "memory_update", "memory_delete"] };

/**
 * @typedef {{webhook_id: string, name: string, url: string, event_types: string[], is_active: boolean, paused_at: string | null,
 *   failing_since: string | null, secret?: string}} Webhook
 */

/** @param {import("./developers.js").Project} project @param {string} id */
export async function show(project, id) {
  if (id) return deliveryLog(id, project.role === "OWNER");
  const webhooks = new Webhooks(project);
  await webhooks.list.reload();
  return [webhooks.element];
}

class Webhooks {
  /** @param {import("./developers.js").Project} project */
  constructor(project) {
    this.path = `/api/v1/webhooks/projects/${project.id}/`;
    this.mayChange = project.role === "OWNER";
    this.secret = h("div", { role: "status" });
    this.list = new Loaded(() => this.read());
    this.element = h("section", {}, h("h2", {}, words.title), h("p", {}, words.intro), this.secret, this.list.element, this.mayChange && this.createForm());
  }

  async read() {
    const webhooks = /** @type {Webhook[]} */ (await call("GET", this.path));
    return webhooks.length ? h("ul", { class: "cards" }, webhooks.map((each) => this.card(each))) : h("p", { class: "empty" }, words.none);
  }

  createForm() {
    const place = h("div", {});
    const element = /** @type {HTMLDetailsElement} */ (h("details", { class: "box" }, h("summary", {}, words.add), place));
    const reset = () => fill(place, webhookForm(NEW, words.create, create));
    const create = async (/** @type {Record<string, unknown>} */ values) => {
      await this.showSecret(await call("POST", this.path, values));
      element.open = false;
      reset();
    };
    reset();
    return element;
  }

  /** @param {Webhook} webhook */
  async showSecret(webhook) {
    fill(this.secret, secretBox(words.secretOnce(webhook.name), webhook.secret ?? ""));
    showNew(this.secret);
    await this.list.reload();
  }

  /** @param {Webhook} webhook */
  card(webhook) {
    const facts = h(
      "div",
      {},
      h("p", {}, h("code", {}, webhook.url)),
      h("p", { class: "facts" }, words.sends, webhook.event_types.map((each) => h("span", { class: "tag" }, words.events[/** @type {"memory_add"} */ (each)]?.label ?? each))),
      state(webhook),
    );
    const log = h("a", { href: `#developers/webhooks/${webhook.webhook_id}`, "aria-label": `${words.log}: ${webhook.name}` }, words.log);
    /** @type {Array<[string, () => unknown]>} */
    const actions = [
      [words.edit, () => editIn(facts, (close) => this.editForm(webhook, close))],
      webhook.is_active ? [words.pause, () => this.change(webhook, { is_active: false })] : [words.resume, () => this.change(webhook, { is_active: true })],
      [words.newSecret, () => this.rotate(webhook)],
      [words.delete, () => this.remove(webhook)],
    ];
    return h("li", { class: "card" }, h("h3", {}, webhook.name), facts, actionRow(webhook.name, this.mayChange ? actions : [], log));
  }

  /** @param {Webhook} webhook @param {() => void} close */
  editForm(webhook, close) {
    return webhookForm(webhook, texts.save, (values) => this.change(webhook, values), close);
  }

  /** @param {Webhook} webhook @param {Record<string, unknown>} values */
  async change(webhook, values) {
    await call("PUT", `/api/v1/webhooks/${webhook.webhook_id}/`, values);
    announce(words.saved);
    await this.list.reload();
  }

  /** @param {Webhook} webhook */
  async rotate(webhook) {
    if (!(await ask({ title: words.newSecretTitle, body: words.newSecretBody, agree: words.newSecret, cancel: texts.cancel }))) return;
    await this.showSecret(await call("POST", `/api/v1/webhooks/${webhook.webhook_id}/secret/`));
  }

  /** @param {Webhook} webhook */
  async remove(webhook) {
    const body = [h("blockquote", {}, webhook.name), h("p", {}, words.deleteBody)];
    if (!(await ask({ title: words.deleteTitle, body, agree: words.delete, cancel: texts.cancel, danger: true }))) return;
    await call("DELETE", `/api/v1/webhooks/${webhook.webhook_id}/`);
    announce(words.deleted);
    await this.list.reload();
  }
}

/** @param {Webhook} webhook */
function state(webhook) {
  if (!webhook.is_active) return h("p", { class: "problem" }, words.paused(dateText(webhook.paused_at)));
  return webhook.failing_since && h("p", { class: "problem" }, words.failing(dateText(webhook.failing_since)));
}
