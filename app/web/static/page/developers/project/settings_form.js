/** What the project remembers, how it sorts it, and when it expires. */

import { call } from "../../api.js";
import { announce, field, form, h } from "../../elements.js";
import { texts } from "../../texts.js";

const words = texts.developers.project;

/**
 * @typedef {string | Record<string, string>} Category
 * @typedef {{custom_instructions: string | null, agent_custom_instructions: string | null, custom_categories: Category[] | null, multilingual: boolean,
 *   decay: boolean, expiration_days: number | null, expiration_date: string | null}} Settings
 */

/** @param {string} path @param {Settings} settings @param {boolean} isOwner */
export function settingsForm(path, settings, isOwner) {
  const readonly = { readonly: !isOwner };
  const instructions = text(words.instructions, settings.custom_instructions, 4, words.instructionsHint, readonly);
  const agent = text(words.agentInstructions, settings.agent_custom_instructions, 2, words.agentInstructionsHint, readonly);
  const categories = text(words.categories, (settings.custom_categories ?? []).map(categoryLine).join("\n"), 4, words.categoriesHint, readonly);
  const days = field(words.expiryDays, { type: "number", min: 1, max: 36_500, value: settings.expiration_days ?? "", ...readonly }, { hint: words.expiryHint });
  const date = field(words.expiryDate, { type: "date", value: settings.expiration_date ?? "", ...readonly });
  const multilingual = check(words.multilingual, settings.multilingual, words.multilingualHint, isOwner);
  const decay = check(words.decay, settings.decay, words.decayHint, isOwner);
  const rows = [instructions, agent, categories, multilingual, decay].map((each) => each.row);
  const values = () => ({
    custom_instructions: instructions.input.value.trim() || null,
    agent_custom_instructions: agent.input.value.trim() || null,
    custom_categories: readCategories(categories.input.value),
    expiration_days: Number(days.input.value) || null,
    expiration_date: date.input.value || null,
    multilingual: multilingual.input.checked,
    decay: decay.input.checked,
  });
  let saved = values();
  return form([...rows, h("div", { class: "row top" }, days.row, date.row), isOwner && h("button", { class: "primary" }, texts.save)], async () => {
    const changes = differences(saved, values());
    if (Object.keys(changes).length) await call("PATCH", path, changes);
    saved = values();
    announce(words.saved);
  });
}

/** Only what changed is sent, so that the audit log names nothing else. @param {Record<string, unknown>} before @param {Record<string, unknown>} after */
function differences(before, after) {
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name])));
}

/** @param {string} label @param {string | null} value @param {number} rows @param {string} hint @param {Record<string, unknown>} more */
function text(label, value, rows, hint, more) {
  return field(label, { rows, maxlength: 20_000, value: value ?? "", ...more }, { tag: "textarea", hint });
}

/** @param {string} label @param {boolean} checked @param {string} hint @param {boolean} isOwner */
export function check(label, checked, hint, isOwner) {
  const made = field(label, { type: "checkbox", checked, disabled: !isOwner }, { hint });
  made.row.classList.add("check");
  return made;
}

/** @param {Category} category */
function categoryLine(category) {
  return typeof category === "string" ? category : Object.entries(category).map(([name, what]) => `${name}: ${what}`).join("");
}

/** One a line, with what belongs in it after a colon. @param {string} lines @returns {Category[] | null} */
function readCategories(lines) {
  const found = lines.split("\n").map((each) => each.trim()).filter(Boolean);
  if (!found.length) return null;
  return found.map((each) => {
    const [name, ...what] = each.split(":");
    return what.length ? { [name.trim()]: what.join(":").trim() } : name.trim();
  });
}
