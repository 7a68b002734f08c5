/** What lists of memories contain, and whether the server tidies memories up. */

import { call } from "../../api.js";
import { announce, form, h } from "../../elements.js";
import { texts } from "../../texts.js";
import { Loaded } from "../loaded.js";
import { check } from "./settings_form.js";

const words = texts.developers.project;

/** @param {string} id @param {boolean} isOwner */
export function upkeepForm(id, isOwner) {
  const path = `/v1/projects/${id}`;
  return new Loaded(async () => {
    const found = /** @type {{list_episodes: boolean, consolidate: boolean}} */ (await call("GET", path));
    const lists = check(words.listEpisodes, found.list_episodes, words.listEpisodesHint, isOwner);
    const consolidates = check(words.consolidate, found.consolidate, words.consolidateHint, isOwner);
    return form([lists.row, consolidates.row, isOwner && h("button", { class: "primary" }, texts.save)], async () => {
      await call("PATCH", path, { list_episodes: lists.input.checked, consolidate: consolidates.input.checked });
      announce(words.saved);
    });
  });
}
