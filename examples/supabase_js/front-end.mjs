// What a front end needs with Supabase: it signs in with supabase-js, calls Keepsake with the person's token, and reads the
// person's own memories from Supabase's database, where row-level security shows a person nothing else. It works in browsers
// (index.html) and in Node (own-memories.mjs). Only the publishable key is in the page, and it opens nothing by itself.

export const openFrontEnd = (supabase, keepsakeUrl) => {
  const succeed = ({ data, error }) => {
    if (error) throw error;
    return data;
  };

  const signIn = async (account) => {
    const { data, error } = await supabase.auth.signUp(account);
    if (error && error.code !== "user_already_exists") throw error;
    return error ? succeed(await supabase.auth.signInWithPassword(account)).user : data.user;
  };

  // supabase-js refreshes the token when it is about to expire, so it is asked for each time.
  const remember = async (text) => {
    const { session } = succeed(await supabase.auth.getSession());
    const response = await fetch(`${keepsakeUrl}/v3/memories/add/`, {
      method: "POST",
      headers: { authorization: `Bearer ${session.access_token}`, "content-type": "application/json" },
      body: JSON.stringify({ messages: text, infer: false }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail);
    return answer;
  };

  // PostgREST sends this query with the person's own token. It needs no filter by user: other rows do not exist for it.
  // `memories` also holds the messages of conversations, and memories that were archived or replaced.
  const readOwnMemories = async () =>
    succeed(
      await supabase
        .from("memories")
        .select("id,content,created_at")
        .neq("kind", "message")
        .is("archived_at", null)
        .is("replaced_by", null)
        .order("created_at", { ascending: false })
        .limit(50),
    );

  return { signIn, remember, readOwnMemories, signOut: () => supabase.auth.signOut() };
};
