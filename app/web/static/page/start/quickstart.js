/** A secret to copy, and the exact lines that use it. */

import { ownUserId } from "../api.js";
import { announce, button, h } from "../elements.js";
import { texts } from "../texts.js";

/** @param {string} label @param {string} secret */
export function secretBox(label, secret) {
  return h("div", { class: "box secret" }, h("p", {}, label), h("p", { class: "row" }, h("code", { tabindex: 0 }, secret), copyButton(secret, label)));
}

/** @param {string} text @param {string} name @param {string} [label] */
export function copyButton(text, name, label = texts.copy) {
  return button(
    label,
    async () => {
      await navigator.clipboard.writeText(text);
      announce(texts.copied);
    },
    { class: "small", "aria-label": `${label}: ${name}` },
  );
}

/** The memories go to the person who reads the lines, who finds them under Memories. @param {string} key */
export function quickstart(key) {
  const url = location.origin;
  const user = ownUserId() ?? "";
  const examples = [
    [texts.developers.curl, curl(url, key, user)],
    [texts.developers.python, python(url, key, user)],
    [texts.developers.typescript, typescript(url, key, user)],
  ];
  return h(
    "div",
    { class: "quickstart" },
    examples.map(([name, code], index) =>
      h("details", { open: index === 0 }, h("summary", {}, name), h("pre", { tabindex: 0 }, h("code", {}, code)), copyButton(code, name)),
    ),
  );
}

/** @param {string} url @param {string} key @param {string} user */
function curl(url, key, user) {
  return `curl ${url}/v3/memories/add/ \\
  -H 'Authorization: Token ${key}' -H 'Content-Type: application/json' \\
  -d '{"messages": [{"role": "user", "content": "I am vegetarian."}], "user_id": "${user}", "infer": false}'`;
}

/** @param {string} url @param {string} key @param {string} user */
function python(url, key, user) {
  return `from mem0 import MemoryClient  # pip install mem0ai

client = MemoryClient(api_key="${key}", host="${url}")
client.add([{"role": "user", "content": "I am vegetarian."}], user_id="${user}", infer=False)
print(client.search("What do I eat?", filters={"user_id": "${user}"}))`;
}

/** @param {string} url @param {string} key @param {string} user */
function typescript(url, key, user) {
  return `import { MemoryClient } from "mem0ai";  // npm install mem0ai

const client = new MemoryClient({ apiKey: "${key}", host: "${url}" });
await client.add([{ role: "user", content: "I am vegetarian." }], { userId: "${user}", infer: false });
console.log(await client.search("What do I eat?", { filters: { user_id: "${user}" } }));`;
}
