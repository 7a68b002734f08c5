/** One memory with what can be done with it, wherever it is shown. */

import { call } from "./api.js";
import { announce, ask, button, describe, field, fill, form, h, time } from "./elements.js";
import { texts } from "./texts.js";

const words = texts.memories;

/**
 * @typedef {{id: string, memory: string, score?: number, created_at?: string, kind?: string, categories?: string[] | null,
 *   lifecycle_state?: string, metadata?: Record<string, unknown> | null}} MemoryShown
 */

/** A short form for the chat: the words, "correct" and "forget". @param {MemoryShown} memory */
export function memoryLine(memory) {
  const text = h("span", {}, memory.memory);
  const item = h("li", {}, text);
  const actions = h("span", { class: "actions" });
  const rest = () => fill(item, text, actions);
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
  if (!(await confirmDeletion(memory))) return;
  await attempt(item, async () => {
    await call("DELETE", `/v1/memories/${memory.id}/`);
    announce(texts.chat.forgotten);
    item.classList.add("gone");
    fill(item, h("del", {}, memory.memory), " ", h("em", {}, texts.chat.forgotten));
  });
}

/** The full form for the list of memories. @param {MemoryShown} memory @param {() => void} changed */
export function memoryCard(memory, changed) {
  const archived = memory.lifecycle_state === "archived";
  const text = h("p", { class: "memory-text" }, memory.memory);
  const body = h("div", {}, text);
  const more = h("div", {});
  const card = h("li", { class: archived ? "card archived" : "card" });
  const editing = () =>
    fill(body, editor(memory, () => fill(body, text), (value) => (text.textContent = value)));
  fill(
    card,
    body,
    memory.score !== undefined && scoreBar(memory.score),
    h(
      "p",
      { class: "facts" },
      memory.created_at && time(memory.created_at),
      memory.kind && h("span", { class: "tag" }, words.kinds[/** @type {"fact" | "episode"} */ (memory.kind)] ?? memory.kind),
      archived && h("span", { class: "tag" }, words.stateArchived),
      ...(memory.categories ?? []).map((each) => h("span", { class: "tag" }, each)),
    ),
    h(
      "div",
      { class: "actions" },
      named(words.edit, memory, editing),
      archived
        ? named(words.restore, memory, () => act(card, changed, "POST", `/v1/memories/${memory.id}/restore`))
        : named(words.archive, memory, () => act(card, changed, "POST", `/v1/memories/${memory.id}/archive`)),
      named(words.history, memory, () => attempt(more, () => showHistory(memory, more))),
      named(words.delete, memory, async () => {
        if (await confirmDeletion(memory)) await act(card, changed, "DELETE", `/v1/memories/${memory.id}/`);
      }),
    ),
    more,
  );
  return card;
}

/** @param {string} label @param {MemoryShown} memory @param {() => unknown} act */
function named(label, memory, act) {
  return button(label, act, { class: "small", "aria-label": `${label}: ${memory.memory.slice(0, 80)}` });
}

/** @param {HTMLElement} card @param {() => void} changed @param {string} method @param {string} path */
async function act(card, changed, method, path) {
  await attempt(card, async () => {
    await call(method, path);
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

/** @param {MemoryShown} memory */
function confirmDeletion(memory) {
  const body = [h("blockquote", {}, memory.memory), h("p", {}, words.deleteBody)];
  return ask({ title: words.deleteTitle, body, agree: words.delete, cancel: texts.cancel, danger: true });
}

/** @param {MemoryShown} memory @param {() => void} close @param {(value: string) => void} saved */
function editor(memory, close, saved) {
  const { row, input } = field(words.wording, { rows: 3, maxlength: 100_000 }, { tag: "textarea" });
  input.value = memory.memory;
  const actions = h("div", { class: "actions" }, h("button", { class: "primary" }, texts.save), button(texts.cancel, close));
  const element = form([row, actions], async () => {
    await call("PUT", `/v1/memories/${memory.id}/`, { text: input.value });
    memory.memory = input.value;
    saved(input.value);
    announce(texts.chat.corrected);
    close();
  });
  setTimeout(() => input.focus());
  return element;
}

/** @param {MemoryShown} memory @param {HTMLElement} place */
async function showHistory(memory, place) {
  const history = await call("GET", `/v1/memories/${memory.id}/history/`);
  const entries = history.map((/** @type {any} */ each) =>
    h(
      "li",
      {},
      time(each.created_at),
      " ",
      h("strong", {}, words.events[/** @type {"ADD"} */ (each.event)] ?? each.event),
      each.old_memory && h("del", {}, each.old_memory),
      each.new_memory && h("ins", {}, each.new_memory),
    ),
  );
  fill(place, h("ol", { class: "history", "aria-label": words.history }, entries));
}

/** @param {number} score */
function scoreBar(score) {
  const percent = Math.round(Math.max(0, Math.min(1, score)) * 100);
  return h(
    "p",
    { class: "score" },
    h("span", {}, words.score),
    h("meter", { min: 0, max: 100, value: percent, "aria-label": `${words.score}: ${percent} %` }),
    h("span", {}, `${percent} %`),
  );
}
