/** The receipt of an erasure: one sentence, the counts of each store, and a form to look an older one up. */

import { call } from "../api.js";
import { field, fill, form, h } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.account;

/** @typedef {{id: string, finished_at: string | null, found: Record<string, number>, removed: Record<string, number>, left: Record<string, number>}} Receipt */

/** @param {Receipt} receipt */
export function receiptOf(receipt) {
  const rows = Object.keys(receipt.found).map((store) =>
    h("tr", {}, h("th", { scope: "row" }, storeName(store)), ...[receipt.found, receipt.removed, receipt.left].map((counts) => h("td", {}, counts[store] ?? ""))),
  );
  const head = [words.store, words.found, words.removed, words.left].map((each) => h("th", { scope: "col" }, each));
  const table = h("table", { class: "receipt" }, h("caption", {}, words.receipt), h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows));
  return h(
    "div",
    { class: "receipt-of" },
    h("p", {}, h("strong", {}, receipt.finished_at ? sentence(receipt) : words.receiptRunning)),
    h("details", {}, h("summary", {}, words.receiptDetails), table),
    h("p", { class: "hint" }, words.receiptId(receipt.id)),
  );
}

export function receiptLookup() {
  const id = field(words.receiptNumber, { required: true, autocomplete: "off", maxlength: 36 });
  const place = h("div", { role: "status" });
  const element = form([id.row, h("button", {}, words.receiptShow)], async () => {
    fill(place);
    const { receipt } = await call("GET", `/v1/erase/${encodeURIComponent(id.input.value.trim())}`);
    fill(place, receiptOf(receipt));
  });
  return h("details", { class: "receipt-lookup" }, h("summary", {}, words.receiptLookup), element, place);
}

/** @param {Receipt} receipt */
function sentence({ removed, left }) {
  const [memories, messages, profiles] = ["memories", "messages", "profiles"].map((store) => removed[store] ?? 0);
  const remaining = Object.values(left).reduce((sum, each) => sum + each, 0);
  return `${words.erased(memories, messages, profiles)} ${remaining ? words.remains(remaining) : words.nothingRemains}`;
}

/** @param {string} store */
function storeName(store) {
  const plain = store.replaceAll("_", " ");
  return words.stores[/** @type {"memories"} */ (store)] ?? plain.charAt(0).toUpperCase() + plain.slice(1);
}
