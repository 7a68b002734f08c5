/** Asks before a memory is deleted, also what happens to the memories that it replaced. */

import { call } from "../api.js";
import { ask, h } from "../elements.js";
import { texts } from "../texts.js";
import { readReplaced } from "./replacements.js";

const words = texts.memories;

/** @typedef {"" | "restore_linked" | "delete_linked"} Linked what happens to the replaced memories: they stay replaced, come back, or go, too */

/** @param {{id: string, memory: string}} memory @returns {Promise<boolean>} whether it was deleted */
export async function deleteMemory(memory) {
  const replaced = await readReplaced(memory.id);
  const choice = replaced.length > 0 ? linkedChoice(replaced) : null;
  const body = [h("blockquote", {}, memory.memory), h("p", {}, words.deleteBody), choice && choice.element];
  if (!(await ask({ title: words.deleteTitle, body, agree: words.delete, cancel: texts.cancel, danger: true }))) return false;
  const linked = choice?.chosen();
  await call("DELETE", `/v1/memories/${memory.id}/${linked ? `?${linked}=true` : ""}`);
  return true;
}

/** @param {Array<{memory: string}>} replaced */
function linkedChoice(replaced) {
  /** @type {Linked} */
  let chosen = "";
  const radio = (/** @type {Linked} */ value, /** @type {string} */ label) =>
    h("label", { class: "check-line" }, h("input", { type: "radio", name: "linked", value, checked: value === chosen, onchange: () => (chosen = value) }), h("span", {}, label));
  const element = h(
    "fieldset",
    { class: "box" },
    h("legend", {}, words.linkedTitle(replaced.length)),
    h("ul", {}, replaced.map((each) => h("li", {}, each.memory))),
    radio("", words.linkedStay),
    radio("restore_linked", words.linkedRestore),
    radio("delete_linked", words.linkedDelete),
  );
  return { element, chosen: () => chosen };
}
