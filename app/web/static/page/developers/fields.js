/** Form fields that several views for developers share. */

import { field, h } from "../elements.js";

/** @param {string} label @param {Array<[string, string]>} options value and label @param {Record<string, unknown>} [properties] @param {string} [hint] */
export function choice(label, options, properties = {}, hint) {
  const { row, input } = field(label, {}, { tag: "select", hint });
  input.append(...options.map(([value, text]) => h("option", { value, selected: value === properties.value }, text)));
  for (const [name, value] of Object.entries(properties)) if (name !== "value" && value) input.setAttribute(name, String(value));
  return { row, input };
}

/**
 * Several things to choose from, each with a sentence.
 * @param {string} legend
 * @param {Array<{value: string, label: string, hint?: string}>} options
 * @param {string[]} chosen
 */
export function checkboxes(legend, options, chosen) {
  const boxes = options.map(({ value, label, hint }) => {
    const { row, input } = field(label, { type: "checkbox", value, checked: chosen.includes(value) }, { hint });
    row.classList.add("check");
    return { row, input };
  });
  return {
    row: h("fieldset", { class: "choices" }, h("legend", {}, legend), boxes.map((each) => each.row)),
    chosen: () => boxes.filter((each) => each.input.checked).map((each) => each.input.value),
  };
}
