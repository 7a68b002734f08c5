// Remember and recall with mem0's TypeScript client.
//
// Run it with an API key, see ../README.md:
//
//     cd examples/mem0_typescript && npm ci && MEM0_TELEMETRY=false npm start

import { MemoryClient } from "mem0ai";

const memory = new MemoryClient({
  apiKey: process.env.KEEPSAKE_API_KEY ?? "",
  host: process.env.KEEPSAKE_URL ?? "http://127.0.0.1:8000",
});
const user = { userId: "ben" };

// infer: false stores the text as it is. The response already contains the memory.
await memory.add([{ role: "user", content: "I am allergic to peanuts." }], { ...user, infer: false });

// Without infer: false, the server extracts what is worth remembering after it has responded: the event is PENDING.
const pending = await memory.add([{ role: "user", content: "I moved to Lisbon in May." }], user);
console.log("status:", pending.status);

let found: string | undefined;
while (!found) {
  const { results } = await memory.search("Where does Ben live?", { filters: { user_id: "ben" } });
  found = results.map((result) => result.memory).find((text) => text?.includes("Lisbon"));
  if (!found) await new Promise((resolve) => setTimeout(resolve, 200));
}
console.log("Where does Ben live? ->", found);

const { results } = await memory.search("What is Ben allergic to?", { filters: { user_id: "ben" } });
console.log("What is Ben allergic to? ->", results[0]?.memory);
process.exit(0);
