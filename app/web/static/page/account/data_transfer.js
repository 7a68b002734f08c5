/** Take data along, and bring data in. */

import { call, download, upload } from "../api.js";
import { announce, button, describe, field, fill, form, h } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.account;
const LOOK_EVERY_MS = 500;
const SHOWN_ERRORS = 20;

/** @param {string | null} userId whose data; null is everything in the project @returns {Node[]} */
export function dataTransfer(userId) {
  return [exportButton(userId), importForm(userId)];
}

/** @param {string | null} userId */
function exportButton(userId) {
  const place = h("div", { role: "status" });
  const start = async () => {
    try {
      await exportData(place, userId);
    } catch (error) {
      fill(place, h("p", { class: "problem", role: "alert" }, describe(error)));
    }
  };
  return h("div", { class: "export" }, button(userId ? words.export : words.exportProject, start), place);
}

/** @param {HTMLElement} place @param {string | null} userId */
async function exportData(place, userId) {
  const made = await call("POST", "/v1/export", userId ? { user_id: userId } : {});
  const progress = /** @type {HTMLProgressElement} */ (h("progress", { "aria-label": words.exporting }));
  fill(place, h("p", {}, words.exporting), progress);
  for (;;) {
    const now = await call("GET", `/v1/export/${made.id}`);
    if (now.total) [progress.max, progress.value] = [now.total, now.done];
    if (now.state === "failed") return fill(place, h("p", { class: "problem", role: "alert" }, now.error ?? words.exportFailed));
    if (now.state === "finished") break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    if (!place.isConnected) return;
  }
  save(await download(`/v1/export/${made.id}`, "application/x-ndjson"), words.exportFile);
  fill(place, h("p", {}, words.exportReady));
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = h("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** @param {string | null} userId */
function importForm(userId) {
  const file = field(words.import, { type: "file", accept: ".jsonl,.json,.ndjson", required: true }, { hint: words.importHint });
  const place = h("div", { role: "status" });
  const element = form([file.row, h("button", {}, words.importSubmit)], async () => {
    const chosen = file.input.files?.[0];
    if (!chosen) return;
    const result = await upload(userId ? `/v1/import?user_id=${encodeURIComponent(userId)}` : "/v1/import", chosen);
    const summary = words.imported(total(result.added), total(result.already_there), result.error_count);
    const errors = result.errors.slice(0, SHOWN_ERRORS).map((/** @type {any} */ each) => h("li", {}, each.detail));
    fill(place, h("p", {}, summary), !result.complete && h("p", { class: "problem" }, words.importIncomplete(result.next_line)), errors.length > 0 && h("ul", {}, errors));
    announce(summary, { isShown: false });
  });
  return h("div", {}, element, place);
}

/** @param {Record<string, number>} counts by type */
function total(counts) {
  return Object.values(counts).reduce((sum, each) => sum + each, 0);
}
