/** What replaced a memory, and what it replaced. */

import { call, ownUserId } from "../api.js";
import { h, time } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.memories;
const MAX_READ = 100;

/** @typedef {import("./memory_item.js").MemoryShown} MemoryShown */

/** The current texts of the successors of these memories, by id, in one request. @param {MemoryShown[]} memories @returns {Promise<Map<string, string>>} */
export async function readSuccessors(memories) {
  const ids = [...new Set(memories.flatMap((each) => each.replaced_by ?? []))];
  const found = ids.length ? await read({ memory_ids: ids }) : [];
  return new Map(found.map((each) => [each.id, each.memory]));
}

/** The memories that this one replaced directly. @param {string} id */
export function readReplaced(id) {
  return read({ replaced_by: [id] });
}

/** @param {Record<string, string[]>} condition @returns {Promise<Array<{id: string, memory: string}>>} */
async function read(condition) {
  const body = { filters: { AND: [{ user_id: ownUserId() }, condition] }, profile_id: "*", show_superseded: true, show_archived: true, show_expired: true, page_size: MAX_READ };
  return (await call("POST", "/v3/memories/", body)).results;
}

/** @param {MemoryShown} memory @param {Map<string, string>} successors */
export function replacement(memory, successors) {
  if (!memory.replaced_by) return null;
  const text = successors.get(memory.replaced_by) ?? words.deletedMemory;
  return h("p", { class: "replacement" }, words.replacedBy, " ", h("q", {}, text), memory.valid_until && [", ", words.replacedSince, " ", time(memory.valid_until)]);
}
