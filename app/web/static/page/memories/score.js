/** How well a memory fits, and what moved its score up or down. */

import { h } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.memories;
const SMALLEST_SHOWN = 0.05;

/** @param {number} score @param {Record<string, number>} [parts] */
export function scoreOf(score, parts = {}) {
  const percent = Math.round(Math.max(0, Math.min(1, score)) * 100);
  return h(
    "div",
    { class: "score" },
    h("p", {}, h("strong", {}, `${words.score} ${percent} %`), h("meter", { min: 0, max: 100, value: percent, "aria-label": `${words.score}: ${percent} %` })),
    partList(parts),
  );
}

/** All memories begin with the same base, which says nothing about this one. @param {Record<string, number>} parts */
function partList({ base: _, calibration: __, ...parts }) {
  const shown = Object.entries(parts).filter(([, value]) => Math.abs(value) >= SMALLEST_SHOWN);
  const largest = Math.max(...shown.map(([, value]) => Math.abs(value)), 1);
  const items = shown.map(([name, value]) => {
    const label = words.parts[/** @type {"similarity"} */ (name)] ?? name.replaceAll("_", " ");
    const shownLabel = value < 0 ? words.lowers(label) : label;
    return h("li", { class: value < 0 ? "against" : "for" }, h("span", {}, shownLabel), h("meter", { min: 0, max: largest, value: Math.abs(value), "aria-label": shownLabel }));
  });
  return items.length > 0 && h("ul", { class: "parts", "aria-label": words.partsLabel }, items);
}
