// A front end signs a person up with supabase-js, then calls the API with that person's token.
//
//     cd examples/supabase_js && npm ci && EMAIL=you@example.com PASSWORD='correct horse' npm start
//
// The server answers supabase-js under /auth/v1, as Supabase does. When the server is configured with SUPABASE_URL, accounts
// live at Supabase: give createClient that address and the project's publishable key.

import { createClient } from "@supabase/supabase-js";

const url = process.env.KEEPSAKE_URL ?? "http://127.0.0.1:8000";
const account = { email: process.env.EMAIL ?? "you@example.com", password: process.env.PASSWORD ?? "correct horse" };

const supabase = createClient(url, "sb_publishable_any_text", {
  auth: { persistSession: false, autoRefreshToken: false },
  realtime: { transport: class {} }, // Node before version 22 has no WebSocket. Nothing here opens one.
});

let { data, error } = await supabase.auth.signUp(account);
if (error?.code === "user_already_exists") ({ data, error } = await supabase.auth.signInWithPassword(account));
if (error) throw error;
console.log("signed in as", data.user.email);

const call = async (path, body) => {
  const headers = { authorization: `Bearer ${data.session.access_token}`, "content-type": "application/json" };
  const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  return answer;
};

// A person's own token needs no user_id: the memories are theirs.
await call("/v3/memories/add/", { messages: "My favourite colour is green.", infer: false });
const { results } = await call("/v3/memories/search/", { query: "Which colour do I like?" });
console.log("remembered:", results[0].memory);

await supabase.auth.signOut();
