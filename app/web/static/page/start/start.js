/** The first start: a key, the lines that use it, and the first memory. */

import { call, ownUserId } from "../api.js";
import { button, describe, fill, h } from "../elements.js";
import { quickstart, secretBox } from "./quickstart.js";
import { texts } from "../texts.js";

const words = texts.start;

class KeepsakeStart extends HTMLElement {
  connectedCallback() {
    const key = h("div", { role: "status" });
    const lines = h("div", {}, quickstart("ks_…"));
    const arrived = h("div", { role: "status" });
    fill(
      this,
      h("h1", {}, words.title),
      h("p", {}, words.intro, " ", h("a", { href: "#chat" }, words.done)),
      h("section", { class: "box" }, h("h2", {}, words.stepKey), key, button(words.makeKey, (event) => this.makeKey(event, key, lines), { class: "primary" })),
      h("section", { class: "box" }, h("h2", {}, words.stepSend), lines),
      h("section", { class: "box" }, h("h2", {}, words.stepTry), arrived, button(words.tryIt, (event) => this.tryIt(event, arrived), { class: "primary" })),
    );
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
      await call("POST", "/v3/memories/add/", { messages: [{ role: "user", content: "I am vegetarian." }], infer: false });
      const found = await call("POST", "/v3/memories/search/", { query: "What do I eat?", filters: { user_id: ownUserId() } });
      fill(place, h("p", {}, words.arrived), h("ul", {}, found.results.map((/** @type {any} */ each) => h("li", {}, each.memory))), h("p", {}, h("a", { href: "#chat" }, words.done)));
      fill(/** @type {HTMLElement} */ (event.target), words.tryAgain);
    } catch (error) {
      fill(place, h("p", { class: "problem", role: "alert" }, describe(error)));
    }
  }
}

customElements.define("keepsake-start", KeepsakeStart);
