/** Shows the Markdown that models write. It builds elements and never reads HTML, so any text is safe. */

import { h } from "../elements.js";

const INLINE = /(`+)([^`]+?)\1|\*\*(.+?)\*\*|\*(\S(?:[^*]*\S)?)\*|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/;

/** @param {string} text @returns {DocumentFragment} */
export function markdown(text) {
  const fragment = document.createDocumentFragment();
  for (const block of blocks(text)) fragment.append(block);
  return fragment;
}

/** @param {string} text @returns {Generator<HTMLElement>} */
function* blocks(text) {
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    const fence = line.match(/^\s*```/);
    const heading = line.match(/^#{1,6}\s+(.*)/);
    if (fence) {
      const end = lines.findIndex((each, index) => index > at && /^\s*```/.test(each));
      const last = end < 0 ? lines.length : end;
      yield h("pre", { tabindex: 0 }, h("code", {}, lines.slice(at + 1, last).join("\n")));
      at = last + 1;
    } else if (heading) {
      yield h("p", { class: "heading" }, ...inline(heading[1]));
      at += 1;
    } else if (isItem(line)) {
      const from = at;
      while (at < lines.length && isItem(lines[at])) at += 1;
      const items = lines.slice(from, at).map((each) => h("li", {}, ...inline(each.replace(ITEM, ""))));
      yield h(/^\s*\d/.test(line) ? "ol" : "ul", {}, ...items);
    } else if (line.trim() === "") {
      at += 1;
    } else {
      const from = at;
      while (at < lines.length && lines[at].trim() !== "" && !isItem(lines[at]) && !/^\s*```|^#{1,6}\s/.test(lines[at])) at += 1;
      yield h("p", {}, ...inline(lines.slice(from, at).join("\n")));
    }
  }
}

const ITEM = /^\s*(?:[-*+]|\d+[.)])\s+/;

/** @param {string} line */
function isItem(line) {
  return ITEM.test(line);
}

/** @param {string} text @returns {Array<Node | string>} */
function inline(text) {
  const match = INLINE.exec(text);
  if (!match) return [text];
  const [whole, , code, bold, italic, label, address] = match;
  const element = code
    ? h("code", {}, code)
    : bold
      ? h("strong", {}, ...inline(bold))
      : italic
        ? h("em", {}, ...inline(italic))
        : h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, label);
  return [text.slice(0, match.index), element, ...inline(text.slice(match.index + whole.length))];
}
