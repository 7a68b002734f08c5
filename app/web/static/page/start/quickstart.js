/** A secret to copy, and the exact lines that use it. */

import { announce, button, h } from "../elements.js";
import { texts } from "../texts.js";

/** @param {string} label @param {string} secret */
export function secretBox(label, secret) {
  return h("div", { class: "box secret" }, h("p", {}, label), h("p", { class: "row" }, h("code", { tabindex: 0 }, secret), copyButton(secret, label)));
}

/** @param {string} text @param {string} name */
function copyButton(text, name) {
  return button(
    texts.copy,
    async () => {
      await navigator.clipboard.writeText(text);
      announce(texts.copied);
    },
    { class: "small", "aria-label": `${texts.copy}: ${name}` },
  );
}

/** @param {string} key */
export function quickstart(key) {
  const url = location.origin;
  const examples = [
    [texts.developers.curl, curl(url, key)],
    [texts.developers.python, python(url, key)],
    [texts.developers.typescript, typescript(url, key)],
  ];
  return h(
    "div",
    { class: "quickstart" },
    examples.map(([name, code], index) =>
      h("details", { open: index === 0 }, h("summary", {}, name), h("pre", { tabindex: 0 }, h("code", {}, code)), copyButton(code, name)),
    ),
  );
}

/** @param {string} url @param {string} key */
function curl(url, key) {
  return `curl ${url}/v3/memories/add/ \\
  -H 'Authorization: Token ${key}' -H 'Content-Type: application/json' \\
  -d '{"messages": [{"role": "user", "content": "I am vegetarian."}], "user_id": "alice", "infer": false}'`;
}

/** @param {string} url @param {string} key */
function python(url, key) {
  return `from mem0 import MemoryClient  # pip install mem0ai

client = MemoryClient(api_key="${key}", host="${url}")
client.add([{"role": "user", "content": "I am vegetarian."}], user_id="alice", infer=False)
print(client.search("What does Alice eat?", filters={"user_id": "alice"}))`;
}

/** @param {string} url @param {string} key */
function typescript(url, key) {
  return `import { MemoryClient } from "mem0ai";  // npm install mem0ai

const client = new MemoryClient({ apiKey: "${key}", host: "${url}" });
await client.add([{ role: "user", content: "I am vegetarian." }], { userId: "alice", infer: false });
console.log(await client.search("What does Alice eat?", { filters: { user_id: "alice" } }));`;
}
