/** What happened to a memory, oldest first. */

import { ApiError, call } from "../api.js";
import { fill, h, time } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.memories;

/** @typedef {{event: string, created_at: string, old_memory: string | null, new_memory: string | null, metadata: Record<string, any> | null}} Entry */

/** @param {import("./memory_item.js").MemoryShown} memory @param {HTMLElement} place @param {import("../profile_choice.js").Profile[]} profiles */
export async function showHistory(memory, place, profiles) {
  const history = /** @type {Entry[]} */ (await call("GET", `/v1/memories/${memory.id}/history/`));
  const others = await Promise.all(history.map(othersOf));
  const entries = history.map((each, index) => h("li", {}, time(each.created_at), " ", h("strong", {}, words.events[/** @type {"ADD"} */ (each.event)] ?? each.event), note(each, profiles), changeOf(each), others[index]));
  fill(place, h("ol", { class: "history", "aria-label": words.history }, entries));
}

/** What was there before, and what is there now. @param {Entry} entry */
function changeOf({ event, old_memory: old, new_memory: current }) {
  return [event !== "ADD" && old && h("del", {}, old), current && h("ins", {}, current)];
}

/** The memories that replaced this one, or that it replaced. @param {Entry} entry */
async function othersOf({ event, metadata }) {
  if (event === "SUPERSEDE") return [h("ins", {}, await readText(metadata?.replaced_by))];
  if (event !== "REPLACE") return [];
  const texts = await Promise.all((metadata?.replaced ?? []).map(readText));
  return texts.map((each) => h("del", {}, each));
}

/** @param {Entry} entry @param {import("../profile_choice.js").Profile[]} profiles */
function note({ event, metadata }, profiles) {
  if (event === "ARCHIVE" && metadata?.rule) return ` ${words.byRule(metadata.rule)}`;
  if (event !== "MOVE") return null;
  const name = (/** @type {string} */ id) => profiles.find((each) => each.id === id)?.name ?? words.deletedProfile;
  return ` ${words.movedFromTo(name(metadata?.from_profile_id), name(metadata?.to_profile_id))}`;
}

/** @param {string} id @returns {Promise<string>} */
async function readText(id) {
  try {
    return (await call("GET", `/v1/memories/${id}/`)).memory;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return words.deletedMemory;
    throw error;
  }
}
