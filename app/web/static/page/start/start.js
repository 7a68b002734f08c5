/** The first start: chat at once, or connect an application with a key, the lines that use it, and the first memory. */

import { call, ownUserId } from "../api.js";
import { button, describe, fill, h } from "../elements.js";
import { quickstart, secretBox } from "./quickstart.js";
import { texts } from "../texts.js";

const words = texts.start;
const SAID = "I am vegetarian.";

class KeepsakeStart extends HTMLElement {
  connectedCallback() {
    const steps = h("div", { id: "start-steps", hidden: true }, h("p", {}, words.intro), ...this.steps());
    const connect = h(
      "button",
      { type: "button", class: "start-choice", "aria-expanded": "false", "aria-controls": "start-steps", onclick: () => connect.setAttribute("aria-expanded", String(!(steps.hidden = !steps.hidden))) },
      ...choiceText(words.connect, words.connectHint),
    );
    fill(this, h("h1", {}, words.title), h("div", { class: "start-choices" }, h("a", { class: "start-choice primary", href: "#chat" }, ...choiceText(words.chat, words.chatHint)), connect), steps);
  }

  steps() {
    const key = h("div", { role: "status" });
    const lines = h("div", {}, quickstart("ks_…"));
    const arrived = h("div", { role: "status" });
    const actions = [button(words.look, () => this.look(arrived, words.notYet), { class: "primary" }), button(words.tryIt, (event) => this.tryIt(event, arrived))];
    return [
      h("section", { class: "box" }, h("h2", {}, words.stepKey), key, button(words.makeKey, (event) => this.makeKey(event, key, lines), { class: "primary" })),
      h("section", { class: "box" }, h("h2", {}, words.stepSend), lines),
      h("section", { class: "box" }, h("h2", {}, words.stepTry), arrived, h("div", { class: "actions" }, actions)),
    ];
  }

  /** @param {Event} event @param {HTMLElement} place @param {HTMLElement} lines */
  async makeKey(event, place, lines) {
    try {
      const issued = await call("POST", "/v1/api-keys", { name: words.keyName });
      fill(place, secretBox(words.keyOnce, issued.key));
      fill(lines, quickstart(issued.key));
      /** @type {HTMLElement} */ (event.target).remove();
    } catch (error) {
      fill(place, h("p", { class: "problem", role: "alert" }, describe(error)));
    }
  }

  /** @param {Event} event @param {HTMLElement} place */
  async tryIt(event, place) {
    try {
      await call("POST", "/v3/memories/add/", { messages: [{ role: "user", content: SAID }], infer: false });
      await this.look(place, words.notYet);
      fill(/** @type {HTMLElement} */ (event.target), words.tryAgain);
    } catch (error) {
      fill(place, h("p", { class: "problem", role: "alert" }, describe(error)));
    }
  }

  /** Looks for what an application sent under the person's own id. @param {HTMLElement} place @param {string} nothing */
  async look(place, nothing) {
    try {
      const found = await call("POST", "/v3/memories/search/", { query: "What do I eat?", filters: { user_id: ownUserId() } });
      const memories = found.results.map((/** @type {any} */ each) => h("li", {}, each.memory));
      if (!memories.length) return fill(place, h("p", {}, nothing));
      fill(place, h("p", {}, words.arrived), h("ul", {}, memories), h("p", {}, h("a", { href: "#memories" }, words.toMemories)));
    } catch (error) {
      fill(place, h("p", { class: "problem", role: "alert" }, describe(error)));
    }
  }
}

/** @param {string} title @param {string} hint */
function choiceText(title, hint) {
  return [h("strong", {}, title), h("span", {}, hint)];
}

customElements.define("keepsake-start", KeepsakeStart);
