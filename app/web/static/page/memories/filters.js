/** What to show of a profile: words to search for, and filters. */

import { ownUserId } from "../api.js";
import { button, field, fill, form, h } from "../elements.js";
import { texts } from "../texts.js";
import { categoryName } from "./metadata.js";

const words = texts.memories;

/** @typedef {{query: string, kind: string, category: string, source: string, state: string, since: string, until: string}} Wanted */

/** @returns {Wanted} */
function nothingChosen() {
  return { query: "", kind: "", category: "", source: "", state: "", since: "", until: "" };
}

export class MemoryFilters {
  /** @param {() => Promise<void>} changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {Wanted} */
    this.wanted = nothingChosen();
    this.search = field(words.search, { type: "search", autocomplete: "off" });
    this.categories = h("datalist", { id: "known-categories" });
    this.title = h("summary", {}, words.filters);
    const details = h("details", { class: "filters-box" }, this.title, h("div", { class: "row filters" }, this.choices()), h("p", { class: "hint" }, words.stateHint));
    const buttons = [h("button", { class: "primary" }, words.searchSubmit), button(words.all, () => this.clear())];
    // It is not waited for, so that a newer search can begin meanwhile.
    const search = async () => void this.set("query", this.search.input.value.trim());
    this.element = form([h("div", { class: "row" }, this.search.row, ...buttons), details], search, { role: "search", class: "memory-search" });
  }

  choices() {
    /** @type {Array<[keyof Wanted, string, Record<string, string>]>} */
    const selects = [
      ["kind", words.kind, words.kindChoices],
      ["source", words.source, words.sources],
      ["state", words.state, words.states],
    ];
    const category = h("input", { list: "known-categories", maxlength: 100, autocomplete: "off", ...this.listen("category") });
    return [
      ...selects.map(([name, label, options]) => h("label", { class: "inline" }, label, h("select", this.listen(name), Object.entries(options).map(([value, text]) => h("option", { value }, text))))),
      h("label", { class: "inline" }, words.category, category, this.categories),
      h("label", { class: "inline" }, words.since, h("input", { type: "date", ...this.listen("since") })),
      h("label", { class: "inline" }, words.until, h("input", { type: "date", ...this.listen("until") })),
    ];
  }

  /** @param {keyof Wanted} name */
  listen(name) {
    return { onchange: (/** @type {Event} */ event) => this.set(name, /** @type {HTMLInputElement} */ (event.target).value.trim()) };
  }

  /** @param {keyof Wanted} name @param {string} value */
  set(name, value) {
    this.wanted[name] = value;
    this.showCount();
    return this.changed();
  }

  clear() {
    this.wanted = nothingChosen();
    for (const each of /** @type {NodeListOf<HTMLInputElement>} */ (this.element.querySelectorAll("input, select"))) each.value = "";
    this.showCount();
    return this.changed();
  }

  showCount() {
    const { query, ...filters } = this.wanted;
    const count = Object.values(filters).filter(Boolean).length;
    fill(this.title, count ? words.filtersChosen(count) : words.filters);
  }

  /** Whether nothing is searched for and nothing is left out. */
  isOpen() {
    return Object.values(this.wanted).every((each) => !each);
  }

  /** Categories of the memories that were shown, to choose from. @param {string[]} names */
  suggest(names) {
    const known = new Set([...this.categories.children].map((each) => each.getAttribute("value")));
    this.categories.append(...[...new Set(names)].filter((each) => !known.has(each)).map((each) => h("option", { value: each }, categoryName(each))));
  }

  /** For the API. */
  request() {
    const { kind, category, source, state, since, until } = this.wanted;
    /** @type {unknown[]} */
    const conditions = [{ user_id: ownUserId() }];
    if (kind) conditions.push({ kind });
    if (category) conditions.push({ categories: { contains: category } });
    if (source) conditions.push({ source });
    if (state && state !== "all") conditions.push({ lifecycle_state: state });
    const bounds = { ...(since && { gte: startOfDay(since, 0) }), ...(until && { lt: startOfDay(until, 1) }) };
    if (since || until) conditions.push({ created_at: bounds });
    return { filters: { AND: conditions }, show_superseded: state === "superseded" || state === "all", show_archived: state === "archived" || state === "all" };
  }
}

/** In the time zone of the browser. @param {string} day @param {number} later in days */
export function startOfDay(day, later) {
  const start = new Date(`${day}T00:00`);
  start.setDate(start.getDate() + later);
  return start.toISOString();
}
