/** One memory with what can be done with it, wherever it is shown. */

import { call } from "../api.js";
import { announce, button, describe, field, fill, form, h, time } from "../elements.js";
import { texts } from "../texts.js";
import { deleteMemory } from "./deletion.js";
import { showHistory } from "./history.js";
import { categoryName, metadataField, readMetadata, valueText } from "./metadata.js";
import { replacement } from "./replacements.js";
import { scoreOf } from "./score.js";

const words = texts.memories;

/**
 * @typedef {{id: string, memory: string, score?: number, score_breakdown?: Record<string, number>, created_at?: string, kind?: string,
 *   categories?: string[] | null, lifecycle_state?: string, replaced_by?: string | null, valid_until?: string | null, expiration_date?: string | null, source?: string | null, standing?: boolean,
 *   profile_id?: string | null, metadata?: Record<string, unknown> | null}} MemoryShown
 * @typedef {{changed: () => void, profiles: import("../profile_choice.js").Profile[], successors: Map<string, string>}} Context
 */

/** A short form for the chat: the words, "correct" and "forget". @param {MemoryShown} memory */
export function memoryLine(memory) {
  const text = h("span", {}, memory.memory);
  const item = h("li", {}, text);
  const actions = h("span", { class: "actions" });
  const reason = memory.score !== undefined && scoreOf(memory.score, memory.score_breakdown);
  const rest = () => fill(item, text, actions, reason);
  fill(
    actions,
    button(texts.chat.correct, () => fill(item, editor(memory, rest, (value) => (text.textContent = value))), { class: "small", "aria-label": `${texts.chat.correct}: ${memory.memory}` }),
    button(texts.chat.forget, () => forget(memory, item), { class: "small", "aria-label": `${texts.chat.forget}: ${memory.memory}` }),
  );
  rest();
  return item;
}

/** @param {MemoryShown} memory @param {HTMLElement} item */
async function forget(memory, item) {
  await attempt(item, async () => {
    if (!(await deleteMemory(memory))) return;
    announce(texts.chat.forgotten);
    item.classList.add("gone");
    fill(item, h("del", {}, memory.memory), " ", h("em", {}, texts.chat.forgotten));
  });
}

/** The full form for the list of memories. @param {MemoryShown} memory @param {Context} context */
export function memoryCard(memory, context) {
  const state = memory.lifecycle_state ?? "active";
  const text = h("p", { class: "memory-text" }, memory.memory);
  const body = h("div", {}, text);
  const more = h("div", {});
  const card = h("li", { class: state === "active" ? "card" : `card ${state}` });
  const editing = () => fill(body, editor(memory, () => fill(body, text), (value) => (text.textContent = value), context));
  fill(card, body, memory.score !== undefined && scoreOf(memory.score, memory.score_breakdown), facts(memory), replacement(memory, context.successors), actions(memory, context, { card, more, editing }), more);
  return card;
}

/** @param {MemoryShown} memory */
function facts(memory) {
  const state = memory.lifecycle_state ?? "active";
  const tags = [
    memory.kind && (words.kinds[/** @type {"fact" | "episode" | "summary"} */ (memory.kind)] ?? memory.kind),
    state !== "active" && (words.stateTags[/** @type {"archived"} */ (state)] ?? state),
    memory.standing && words.standing,
    memory.source && words.sourceTags[/** @type {"import"} */ (memory.source)],
    ...(memory.categories ?? []).map(categoryName),
    ...Object.entries(memory.metadata ?? {}).map(([name, value]) => `${name}: ${valueText(value)}`),
    memory.expiration_date && words.until_(memory.expiration_date),
  ];
  return h("p", { class: "facts" }, memory.created_at && time(memory.created_at), tags.filter(Boolean).map((each) => h("span", { class: "tag" }, /** @type {string} */ (each))));
}

/** @param {MemoryShown} memory @param {Context} context @param {{card: HTMLElement, more: HTMLElement, editing: () => void}} places */
function actions(memory, { changed, profiles }, { card, more, editing }) {
  const path = `/v1/memories/${memory.id}`;
  const isActive = (memory.lifecycle_state ?? "active") === "active";
  const others = profiles.filter((each) => each.id !== memory.profile_id);
  return h(
    "div",
    { class: "actions" },
    named(words.edit, memory, editing),
    isActive ? named(words.archive, memory, () => act(card, changed, `${path}/archive`, words.archived)) : named(words.restore, memory, () => act(card, changed, `${path}/restore`, memory.replaced_by ? words.restoredBeside : words.restored)),
    memory.lifecycle_state !== "superseded" && others.length > 0 && named(words.move, memory, () => fill(more, mover(memory, others, changed, () => fill(more)))),
    named(words.history, memory, () => (more.querySelector(".history") ? fill(more) : attempt(more, () => showHistory(memory, more, profiles)))),
    named(words.delete, memory, () => attempt(card, async () => {
      if (await deleteMemory(memory)) changed();
    })),
  );
}

/** @param {MemoryShown} memory @param {Context["profiles"]} others @param {() => void} changed @param {() => void} close */
function mover(memory, others, changed, close) {
  const select = /** @type {HTMLSelectElement} */ (h("select", {}, others.map((each) => h("option", { value: each.id }, each.name))));
  const buttons = [h("button", { class: "primary small" }, words.moveSubmit), button(texts.cancel, close, { class: "small" })];
  const element = form([h("label", { class: "inline" }, words.moveTo, select), ...buttons], async () => {
    await call("POST", `/v1/memories/${memory.id}/move`, { profile_id: select.value });
    announce(words.moved(select.selectedOptions[0]?.textContent ?? ""));
    changed();
  }, { class: "row mover" });
  setTimeout(() => select.focus());
  return element;
}

/** @param {string} label @param {MemoryShown} memory @param {() => unknown} act */
function named(label, memory, act) {
  return button(label, act, { class: "small", "aria-label": `${label}: ${memory.memory.slice(0, 80)}` });
}

/** @param {HTMLElement} card @param {() => void} changed @param {string} path @param {string} done */
async function act(card, changed, path, done) {
  await attempt(card, async () => {
    await call("POST", path);
    announce(done);
    changed();
  });
}

/** @param {HTMLElement} place @param {() => Promise<void>} work */
async function attempt(place, work) {
  try {
    await work();
  } catch (error) {
    place.append(h("p", { class: "problem", role: "alert" }, describe(error)));
  }
}

/** @param {MemoryShown} memory @param {() => void} close @param {(value: string) => void} saved @param {Context} [context] with it, more than the words can be changed */
function editor(memory, close, saved, context) {
  const { row, input } = field(words.wording, { rows: 3, maxlength: 100_000 }, { tag: "textarea" });
  input.value = memory.memory;
  const more = context && moreFields(memory);
  const buttons = h("div", { class: "actions" }, h("button", { class: "primary" }, texts.save), button(texts.cancel, close));
  const element = form([row, ...(more?.rows ?? []), buttons], async () => {
    const changes = more?.changes() ?? {};
    await call("PUT", `/v1/memories/${memory.id}/`, { text: input.value, ...changes });
    memory.memory = input.value;
    saved(input.value);
    announce(texts.chat.corrected);
    close();
    // The words are shown already. Anything else changes the whole card.
    if (Object.keys(changes).length) context?.changed();
  });
  setTimeout(() => input.focus());
  return element;
}

/** @param {MemoryShown} memory */
function moreFields(memory) {
  const metadata = metadataField(memory.metadata);
  const before = metadata.input.value;
  const standing = field(words.standingLabel, { type: "checkbox", checked: memory.standing === true });
  standing.row.classList.add("check");
  return {
    rows: [standing.row, metadata.row],
    changes: () => ({
      ...(metadata.input.value !== before && { metadata: readMetadata(metadata.input.value) }),
      ...(standing.input.checked !== (memory.standing === true) && { standing: standing.input.checked }),
    }),
  };
}
