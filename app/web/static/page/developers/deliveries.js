/** The delivery log of one webhook. */

import { call } from "../api.js";
import { announce, button, fill, h, time } from "../elements.js";
import { texts } from "../texts.js";
import { actionRow, Loaded } from "./loaded.js";

const words = texts.developers.webhooks;

/**
 * @typedef {{id: string, event_type: string, memory_id: string | null, status: "PENDING" | "DELIVERED" | "FAILED", attempts: number,
 *   response_status: number | null, error: string | null, created_at: string, attempted_at: string | null, next_attempt_at: string | null,
 *   delivered_at: string | null}} Delivery
 */

/** @param {string} id @param {boolean} mayChange */
export async function deliveryLog(id, mayChange) {
  const view = new Loaded(async () => {
    const webhook = await call("GET", `/api/v1/webhooks/${id}/`);
    const log = new DeliveryLog(`/api/v1/webhooks/${id}/deliveries/`, mayChange);
    await log.list.reload();
    return [h("h2", {}, words.logOf(webhook.name)), h("p", {}, h("code", {}, webhook.url)), log.element];
  });
  await view.reload();
  return [h("p", {}, h("a", { href: "#developers/webhooks" }, words.back)), view.element];
}

class DeliveryLog {
  /** @param {string} path @param {boolean} mayChange */
  constructor(path, mayChange) {
    this.path = path;
    this.mayChange = mayChange;
    this.list = new Loaded(() => this.read());
    this.element = h("div", {}, h("div", { class: "actions" }, button(words.refresh, () => this.list.refresh())), this.list.element);
  }

  async read() {
    const page = await call("GET", this.path);
    const deliveries = /** @type {Delivery[]} */ (page.results);
    if (deliveries.some(isDue)) this.list.lookAgain();
    if (!deliveries.length) return h("p", { class: "empty" }, words.noDelivery);
    const items = h("ul", { class: "cards" }, deliveries.map((each) => this.item(each)));
    const more = h("div", { class: "actions" });
    this.showMore(items, more, page.next);
    return [items, more];
  }

  /** @param {HTMLElement} items @param {HTMLElement} place @param {string | null} cursor */
  showMore(items, place, cursor) {
    const next = async () => {
      const page = await call("GET", `${this.path}?cursor=${encodeURIComponent(cursor ?? "")}`);
      items.append(...page.results.map((/** @type {Delivery} */ each) => this.item(each)));
      this.showMore(items, place, page.next);
    };
    fill(place, cursor && actionRow(words.title, [[texts.memories.more, next]]));
  }

  /** @param {Delivery} delivery */
  item(delivery) {
    const event = words.events[/** @type {"memory_add"} */ (delivery.event_type)]?.label ?? delivery.event_type;
    const facts = [
      h("span", {}, time(delivery.created_at)),
      h("span", {}, words.attempts(delivery.attempts)),
      delivery.response_status && h("span", {}, words.answered(delivery.response_status)),
      delivery.next_attempt_at && delivery.status === "PENDING" && delivery.attempts > 0 && h("span", {}, words.nextAttempt, " ", time(delivery.next_attempt_at)),
    ];
    return h(
      "li",
      { class: "card" },
      h("h3", {}, h("span", { class: `tag state ${delivery.status.toLowerCase()}` }, words.states[delivery.status]), event),
      h("p", { class: "facts" }, facts),
      delivery.error && h("p", { class: "problem" }, words.reason, " ", delivery.error),
      this.mayChange && actionRow(`${event}, ${words.states[delivery.status]}`, [[words.redeliver, () => this.redeliver(delivery)]]),
    );
  }

  /** @param {Delivery} delivery */
  async redeliver(delivery) {
    await call("POST", `${this.path}${delivery.id}/redeliver/`);
    announce(words.redelivered);
    await this.list.refresh();
  }
}

/** @param {Delivery} delivery */
function isDue(delivery) {
  return delivery.status === "PENDING" && (!delivery.next_attempt_at || new Date(delivery.next_attempt_at) <= new Date());
}
