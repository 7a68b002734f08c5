/** Events: what the project was asked to remember or forget, and what became of it. */

import { call, ownUserId } from "../api.js";
import { announce, button, h, time } from "../elements.js";
import { texts } from "../texts.js";
import { choice } from "./fields.js";
import { actionRow, Loaded } from "./loaded.js";

const words = texts.developers.events;
const PAGE_SIZE = 20;

/**
 * @typedef {{id: string, event_type: string, status: "PENDING" | "RUNNING" | "SUCCEEDED" | "FAILED", payload: Record<string, any>, note: string | null,
 *   results: Array<{id: string, event: string, data: {memory: string | null}}>, error: string | null, created_at: string, latency: number | null,
 *   waiting_since: string | null}} MemoryEvent
 */

/** @param {import("./developers.js").Project} project */
export async function show(project) {
  const events = new Events(project.role === "OWNER");
  await events.list.reload();
  return [events.element];
}

class Events {
  /** @param {boolean} mayChange */
  constructor(mayChange) {
    this.mayChange = mayChange;
    this.page = 1;
    const status = choice(words.filter, [["", words.all], ...Object.entries(words.states)]);
    status.input.addEventListener("change", () => this.go(1));
    this.status = status.input;
    this.list = new Loaded(() => this.read());
    this.element = h("section", {}, h("h2", {}, words.title), h("p", {}, words.intro), h("div", { class: "row filters" }, status.row, button(words.refresh, () => this.list.refresh())), this.list.element);
  }

  /** @param {number} page */
  async go(page) {
    this.page = page;
    await this.list.refresh();
  }

  async read() {
    const query = new URLSearchParams({ page: String(this.page), page_size: String(PAGE_SIZE), ...(this.status.value && { status: this.status.value }) });
    const { results, count } = await call("GET", `/v1/events/?${query}`);
    if (results.some(isMoving)) this.list.lookAgain();
    if (!count) return h("p", { class: "empty" }, this.status.value ? words.noneOfState : words.none);
    return [h("ul", { class: "cards" }, results.map((/** @type {MemoryEvent} */ each) => this.card(each))), this.pages(Math.ceil(count / PAGE_SIZE))];
  }

  /** @param {number} last */
  pages(last) {
    if (last < 2) return null;
    return h(
      "nav",
      { class: "actions pages", "aria-label": words.pages },
      this.page > 1 && button(words.newer, () => this.go(this.page - 1)),
      h("span", { role: "status" }, words.pageOf(this.page, last)),
      this.page < last && button(words.older, () => this.go(this.page + 1)),
    );
  }

  /** @param {MemoryEvent} event */
  card(event) {
    const waits = event.waiting_since;
    const state = waits ? words.waiting : words.states[event.status];
    const name = words.types[/** @type {"ADD"} */ (event.event_type)] ?? event.event_type;
    return h(
      "li",
      { class: "card" },
      h("h3", {}, h("span", { class: `tag state ${waits ? "waiting" : event.status.toLowerCase()}` }, state), name),
      h("p", { class: "facts" }, h("span", {}, time(event.created_at)), event.payload.user_id && h("span", {}, event.payload.user_id === ownUserId() ? words.you : words.user(event.payload.user_id)), Boolean(event.latency) && h("span", {}, words.took(event.latency ?? 0))),
      waits && h("p", {}, words.waitingSince, " ", time(waits)),
      event.error && h("p", { class: "problem" }, words.reason, " ", event.error),
      event.note && h("p", { class: "hint" }, event.note),
      said(event),
      results(event),
      this.mayChange && event.status === "FAILED" && actionRow(name, [[words.retry, () => this.retry(event)]]),
    );
  }

  /** @param {MemoryEvent} event */
  async retry(event) {
    await call("POST", `/v1/event/${event.id}/retry`);
    announce(words.retried);
    await this.list.refresh();
  }
}

/** @param {MemoryEvent} event */
function isMoving(event) {
  return !event.waiting_since && (event.status === "PENDING" || event.status === "RUNNING");
}

/** The messages are kept until they were read. @param {MemoryEvent} event */
function said(event) {
  const messages = Array.isArray(event.payload.messages) ? event.payload.messages : [];
  return messages.length > 0 && h("ul", { class: "results" }, messages.map((each) => h("li", {}, String(each.content).slice(0, 200))));
}

/** @param {MemoryEvent} event */
function results(event) {
  if (event.status !== "SUCCEEDED") return null;
  if (!event.results.length) return h("p", { class: "hint" }, words.noResult);
  const lines = event.results.map((each) =>
    h("li", {}, h("span", { class: "tag" }, texts.memories.events[/** @type {"ADD"} */ (each.event)] ?? each.event), " ", each.data.memory ?? h("em", {}, words.gone)),
  );
  return h("ul", { class: "results" }, lines);
}
