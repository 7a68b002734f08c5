/** Which languages the search of the project understands, and how far a change is. */

import { call } from "../../api.js";
import { announce, form, h } from "../../elements.js";
import { texts } from "../../texts.js";
import { choice } from "../fields.js";
import { Loaded } from "../loaded.js";

const words = texts.developers.project;

/** @typedef {{embedder: "english" | "multilingual", is_changing_embedder: boolean, embedded_memories: number | null, memories_to_embed: number | null}} Embedder */

/** @param {string} id @param {boolean} isOwner */
export function embedderForm(id, isOwner) {
  const path = `/v1/projects/${id}`;
  /** @type {Loaded} */
  const progress = new Loaded(async () => progressOf(await call("GET", path), progress));
  const loaded = new Loaded(async () => {
    const found = /** @type {Embedder} */ (await call("GET", path));
    const chosen = choice(words.embedder, words.embedders, { value: found.embedder, disabled: !isOwner }, words.embedderHint);
    if (found.is_changing_embedder) progress.refresh();
    return form([chosen.row, progress.element, isOwner && h("button", { class: "primary" }, texts.save)], async () => {
      await call("PATCH", path, { embedder: chosen.input.value });
      announce(words.saved);
      await progress.refresh();
    });
  });
  return loaded;
}

/** @param {Embedder} found @param {Loaded} view */
function progressOf(found, view) {
  if (!found.is_changing_embedder) return [];
  view.looks = 0;
  view.lookAgain();
  return h("p", { class: "hint", role: "status" }, words.rebuilding(found.embedded_memories ?? 0, found.memories_to_embed ?? 0));
}
