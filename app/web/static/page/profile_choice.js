/** The profile that chat and memories work in. It is remembered while the tab is open. */

import { h } from "./elements.js";
import { texts } from "./texts.js";

/** @typedef {{id: string, name: string, persona: string | null, is_default: boolean}} Profile */

/** @type {string | undefined} */
let chosen;

export function currentProfile() {
  return chosen;
}

/** @param {string | undefined} id */
export function chooseProfile(id) {
  chosen = id;
}

/**
 * @param {Profile[]} profiles
 * @param {(profile: Profile) => void} changed
 */
export function profileChoice(profiles, changed) {
  if (!profiles.some((each) => each.id === chosen)) chosen = profiles.find((each) => each.is_default)?.id ?? profiles[0]?.id;
  const options = profiles.map((each) => h("option", { value: each.id, selected: each.id === chosen }, each.name));
  const select = h("select", {
    onchange: (/** @type {Event} */ event) => {
      chosen = /** @type {HTMLSelectElement} */ (event.target).value;
      const profile = profiles.find((each) => each.id === chosen);
      if (profile) changed(profile);
    },
  });
  select.append(...options);
  return h("label", { class: "inline profile" }, texts.chat.profile, select);
}
