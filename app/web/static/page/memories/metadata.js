/** Metadata of a memory as lines of text: a name, a colon and a value. */

import { field } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.memories;

/** @param {Record<string, unknown> | null | undefined} [metadata] */
export function metadataField(metadata) {
  const { row, input } = field(words.metadata, { rows: 2 }, { tag: "textarea", hint: words.metadataHint });
  input.value = Object.entries(metadata ?? {}).map(([name, value]) => `${name}: ${valueText(value)}`).join("\n");
  return { row, input };
}

/** A category as a person reads it. @param {string} name */
export function categoryName(name) {
  const words = name.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {string} text @returns {Record<string, unknown>} */
export function readMetadata(text) {
  /** @type {Record<string, unknown>} */
  const metadata = {};
  for (const line of text.split("\n").filter((each) => each.trim())) {
    const at = line.indexOf(":");
    if (at < 1) throw new Error(words.metadataWrong(line.trim()));
    metadata[line.slice(0, at).trim()] = readValue(line.slice(at + 1).trim());
  }
  return metadata;
}

/** @param {unknown} value */
export function valueText(value) {
  return typeof value === "string" && readValue(value) === value ? value : JSON.stringify(value);
}

/** Numbers, true, false, null, lists and objects keep their type; anything else is text. @param {string} text */
function readValue(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
