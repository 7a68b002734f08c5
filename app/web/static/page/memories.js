/** What is remembered: search, list, add, edit, archive, delete. */

import { call, listAll, ownUserId } from "./api.js";
import { announce, button, describe, field, fill, form, h } from "./elements.js";
import { memoryCard } from "./memory_item.js";
import { currentProfile, profileChoice } from "./profile_choice.js";
import { texts } from "./texts.js";

const words = texts.memories;
const PAGE_SIZE = 50;

class KeepsakeMemories extends HTMLElement {
  async connectedCallback() {
    this.query = "";
    this.since = "";
    this.archived = false;
    this.page = 1;
    this.list = h("ul", { class: "cards" });
    this.status = h("p", { class: "notice", role: "status" }, texts.loading);
    this.more = h("div", { class: "actions" });
    fill(this, h("h1", {}, words.title), this.status);
    try {
      const profiles = await listAll("/v1/profiles");
      fill(this, h("h1", {}, words.title), profileChoice(profiles, () => this.reload()), this.searchForm(), this.addForm(), this.status, this.list, this.more);
      await this.reload();
    } catch (error) {
      fill(this.status, describe(error), " ", button(texts.retry, () => this.connectedCallback()));
    }
  }

  searchForm() {
    const search = field(words.search, { type: "search", autocomplete: "off" });
    const since = h("input", { type: "date", onchange: (/** @type {Event} */ event) => this.set({ since: /** @type {HTMLInputElement} */ (event.target).value }) });
    const archived = h("input", { type: "checkbox", onchange: (/** @type {Event} */ event) => this.set({ archived: /** @type {HTMLInputElement} */ (event.target).checked }) });
    return form(
      [
        search.row,
        h("button", { class: "primary" }, words.searchSubmit),
        button(words.all, () => {
          search.input.value = "";
          this.set({ query: "" });
        }),
        h("label", { class: "inline" }, words.since, since),
        h("label", { class: "inline" }, archived, words.archived),
      ],
      async () => this.set({ query: search.input.value.trim() }),
      { class: "row", role: "search" },
    );
  }

  addForm() {
    const { row, input } = field(words.addLabel, { rows: 2, required: true }, { tag: "textarea" });
    return h(
      "details",
      { class: "box" },
      h("summary", {}, words.add),
      form([row, h("button", { class: "primary" }, words.addSubmit)], async () => {
        const body = { messages: [{ role: "user", content: input.value }], infer: false, profile_id: currentProfile() };
        await call("POST", "/v3/memories/add/", body);
        input.value = "";
        announce(words.added);
        await this.reload();
      }),
    );
  }

  /** @param {Partial<{query: string, since: string, archived: boolean}>} changes */
  async set(changes) {
    Object.assign(this, changes);
    await this.reload();
  }

  async reload() {
    this.page = 1;
    try {
      const found = this.query ? await this.search() : await this.read();
      this.showResults(found.results, found.count);
    } catch (error) {
      fill(/** @type {HTMLElement} */ (this.status), describe(error), " ", button(texts.retry, () => this.reload()));
    }
  }

  filters() {
    const own = { user_id: ownUserId() };
    return this.since ? { AND: [own, { created_at: { gte: new Date(`${this.since}T00:00`).toISOString() } }] } : own;
  }

  async search() {
    const body = { query: this.query, filters: this.filters(), top_k: PAGE_SIZE, profile_id: currentProfile() };
    const found = await call("POST", "/v3/memories/search/", body);
    return { results: found.results, count: found.results.length };
  }

  /** @returns {Promise<{results: import("./memory_item.js").MemoryShown[], count: number}>} */
  read() {
    const body = { filters: this.filters(), profile_id: currentProfile(), page: this.page, page_size: PAGE_SIZE, show_archived: this.archived };
    return call("POST", "/v3/memories/", body);
  }

  /** @param {import("./memory_item.js").MemoryShown[]} results @param {number} count */
  showResults(results, count) {
    const status = /** @type {HTMLElement} */ (this.status);
    if (results.length) fill(status, words.count(count));
    else if (this.query || this.since) fill(status, words.nothing);
    else fill(status, words.empty, " ", h("a", { href: "#chat" }, words.emptyLink));
    fill(/** @type {HTMLElement} */ (this.list), results.map((each) => memoryCard(each, () => this.reload())));
    this.showMore(results.length, count);
  }

  /** @param {number} shown @param {number} count */
  showMore(shown, count) {
    const next = button(words.more, async () => {
      this.page = (this.page ?? 1) + 1;
      const found = await this.read();
      this.list?.append(...found.results.map((each) => memoryCard(each, () => this.reload())));
      this.showMore(shown + found.results.length, found.count);
    });
    fill(/** @type {HTMLElement} */ (this.more), !this.query && shown < count && next);
  }
}

customElements.define("keepsake-memories", KeepsakeMemories);
