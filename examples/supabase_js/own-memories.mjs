// A person signs in at Supabase, remembers something with Keepsake, and reads their own memories through PostgREST.
//
//     cd examples/supabase_js && npm ci
//     export SUPABASE_URL=https://REF.supabase.co SUPABASE_PUBLISHABLE_KEY=sb_publishable_… KEEPSAKE_URL=http://127.0.0.1:8000
//     EMAIL=you@example.com PASSWORD='correct horse' npm run --silent memories
//
// It needs a server with SUPABASE_URL: PostgREST belongs to Supabase. With built-in accounts, use GET /v1/memories/.

import { createClient } from "@supabase/supabase-js";
import { openFrontEnd } from "./front-end.mjs";

const { SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, KEEPSAKE_URL = "http://127.0.0.1:8000" } = process.env;
const account = { email: process.env.EMAIL ?? "you@example.com", password: process.env.PASSWORD ?? "correct horse" };
const supabase = createClient(SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, {
  auth: { persistSession: false, autoRefreshToken: false },
  realtime: { transport: class {} }, // Node before version 22 has no WebSocket. Nothing here opens one.
});
const frontEnd = openFrontEnd(supabase, KEEPSAKE_URL);

const user = await frontEnd.signIn(account);
console.log("signed in as", user.email);
await frontEnd.remember("My favourite colour is green.");
for (const memory of await frontEnd.readOwnMemories()) console.log("own memory:", memory.content);
await frontEnd.signOut();
console.log("signed out:", (await frontEnd.readOwnMemories().catch((error) => error.code)) || "nothing");
process.exit(0);
