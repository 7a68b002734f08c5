/** What is remembered: search, filter, add, edit, move, archive, restore, delete. */

import { call, listAll } from "../api.js";
import { announce, button, failure, field, fill, form, h } from "../elements.js";
import { Latest } from "../latest.js";
import { currentProfile, profileChoice } from "../profile_choice.js";
import { texts } from "../texts.js";
import { MemoryFilters } from "./filters.js";
import { memoryCard } from "./memory_item.js";
import { metadataField, readMetadata } from "./metadata.js";
import { readSuccessors } from "./replacements.js";

const words = texts.memories;
const PAGE_SIZE = 50;

/** @typedef {{results: import("./memory_item.js").MemoryShown[], count: number, successors: Map<string, string>}} Found */

class KeepsakeMemories extends HTMLElement {
  /** @returns {Promise<void>} */
  async connectedCallback() {
    this.latest = new Latest();
    /** @type {number} */
    this.page = 1;
    this.list = h("ul", { class: "cards" });
    this.status = h("div", { class: "notice", role: "status" }, texts.loading);
    this.more = h("div", { class: "actions" });
    this.filters = new MemoryFilters(() => this.reload());
    /** @type {import("../profile_choice.js").Profile[]} */
    this.profiles = [];
    fill(this, h("h1", {}, words.title), this.status);
    try {
      this.profiles = await listAll("/v1/profiles");
    } catch (error) {
      return fill(this, h("h1", {}, words.title), failure(error, () => this.connectedCallback()));
    }
    fill(this, h("h1", {}, words.title), profileChoice(this.profiles, () => this.reload()), this.filters.element, this.addForm(), this.status, this.list, this.more);
    await this.reload();
  }

  addForm() {
    const { row, input } = field(words.addLabel, { rows: 2, required: true }, { tag: "textarea" });
    const metadata = metadataField();
    const until = field(words.keepUntil, { type: "date" }, { hint: words.keepUntilHint });
    const more = /** @type {HTMLDetailsElement} */ (h("details", {}, h("summary", {}, words.addMore), metadata.row, until.row));
    return h(
      "details",
      { class: "box" },
      h("summary", {}, words.add),
      form([row, more, h("button", { class: "primary" }, words.addSubmit)], async () => {
        const extra = { ...(metadata.input.value.trim() && { metadata: readMetadata(metadata.input.value) }), ...(until.input.value && { expiration_date: until.input.value }) };
        const body = { messages: [{ role: "user", content: input.value }], infer: false, profile_id: currentProfile(), ...extra };
        await call("POST", "/v3/memories/add/", body);
        for (const each of [input, metadata.input, until.input]) each.value = "";
        more.open = false;
        announce(words.added);
        await this.reload();
      }),
    );
  }

  async reload() {
    this.page = 1;
    await this.run(() => (this.filters?.wanted.query ? this.search() : this.read(1)), (found) => this.showResults(found));
  }

  /** @param {() => Promise<Found>} work @param {(found: Found) => void} show */
  async run(work, show) {
    const again = () => this.run(work, show);
    await /** @type {Latest} */ (this.latest).run(work, show, (error) => fill(/** @type {HTMLElement} */ (this.status), failure(error, again)));
  }

  /** @returns {Promise<Found>} */
  async search() {
    const filters = /** @type {MemoryFilters} */ (this.filters);
    const { show_archived, ...request } = filters.request();
    const body = { ...request, query: filters.wanted.query, top_k: PAGE_SIZE, profile_id: currentProfile(), explain: true };
    const found = await call("POST", "/v3/memories/search/", body);
    return { results: found.results, count: found.results.length, successors: await readSuccessors(found.results) };
  }

  /** @param {number} page @returns {Promise<Found>} */
  async read(page) {
    const found = await call("POST", "/v3/memories/", { ...this.filters?.request(), profile_id: currentProfile(), page, page_size: PAGE_SIZE });
    return { ...found, successors: await readSuccessors(found.results) };
  }

  /** @param {Found} found */
  showResults(found) {
    const status = /** @type {HTMLElement} */ (this.status);
    if (found.results.length) fill(status, words.count(found.count));
    else if (this.filters?.isOpen()) fill(status, words.empty, " ", h("a", { href: "#chat" }, words.emptyLink));
    else fill(status, this.filters?.wanted.query && this.filters.wanted.state === "archived" ? words.archivedNotSearched : words.nothing);
    fill(/** @type {HTMLElement} */ (this.list));
    this.appendFound(found);
  }

  /** @param {Found} found */
  appendFound(found) {
    const context = { changed: () => this.reload(), profiles: this.profiles ?? [], successors: found.successors };
    this.list?.append(...found.results.map((each) => memoryCard(each, context)));
    this.filters?.suggest(found.results.flatMap((each) => each.categories ?? []));
    const isRest = !this.filters?.wanted.query && (this.list?.children.length ?? 0) < found.count;
    fill(/** @type {HTMLElement} */ (this.more), isRest && button(words.more, () => this.showMore()));
  }

  async showMore() {
    const page = (this.page ?? 1) + 1;
    await this.run(() => this.read(page), (found) => {
      this.page = page;
      this.appendFound(found);
    });
  }
}

customElements.define("keepsake-memories", KeepsakeMemories);
