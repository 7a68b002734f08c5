/** What happened to a memory, oldest first. */

import { call } from "../api.js";
import { fill, h, time } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.memories;

/** @typedef {{event: string, created_at: string, old_memory: string | null, new_memory: string | null, metadata: Record<string, any> | null}} Entry */

/** @param {import("./memory_item.js").MemoryShown} memory @param {HTMLElement} place @param {import("../profile_choice.js").Profile[]} profiles */
export async function showHistory(memory, place, profiles) {
  const history = /** @type {Entry[]} */ (await call("GET", `/v1/memories/${memory.id}/history/`));
  const successor = memory.replaced_by ? await readMemory(memory.replaced_by) : null;
  const entries = history.map((each) => h("li", {}, time(each.created_at), " ", h("strong", {}, words.events[/** @type {"ADD"} */ (each.event)] ?? each.event), note(each, profiles), ...changeOf(each)));
  const current = successor && h("li", {}, h("strong", {}, words.replacedBy), h("ins", {}, successor));
  fill(place, h("ol", { class: "history", "aria-label": words.history }, entries, current));
}

/** Only an update has both. @param {Entry} entry */
function changeOf({ event, old_memory: old, new_memory: current }) {
  return [event !== "ADD" && old && h("del", {}, old), current && h("ins", {}, current)];
}

/** @param {Entry} entry @param {import("../profile_choice.js").Profile[]} profiles */
function note({ event, metadata }, profiles) {
  if (event === "ARCHIVE" && metadata?.rule) return ` ${words.byRule(metadata.rule)}`;
  if (event !== "MOVE") return null;
  const name = (/** @type {string} */ id) => profiles.find((each) => each.id === id)?.name ?? words.deletedProfile;
  return ` ${words.movedFromTo(name(metadata?.from_profile_id), name(metadata?.to_profile_id))}`;
}

/** @param {string} id */
async function readMemory(id) {
  return (await call("GET", `/v1/memories/${id}/`)).memory;
}
