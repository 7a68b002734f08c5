// The calls of tests/supabase_live/calls.py with supabase-js, in the same order and with the same names.
// Prints one JSON object: the outcome of each call.
import { createHmac } from "node:crypto";
import { createClient } from "@supabase/supabase-js";

const [url, publishableKey, secretKey, prefix] = process.argv.slice(2);
const password = "correct horse battery";
const email = `${prefix}@example.com`;
const outcomes = {};

// Node before version 22 has no WebSocket. Nothing here opens one.
const make = (key = publishableKey) =>
  createClient(url, key, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: class {} },
  }).auth;

const call = async (name, work) => {
  const { data, error } = await work();
  outcomes[name] = !error ? "works" : error.code ? `clear error ${error.code}` : `unclear: ${error.name} ${error.status}`;
  return data;
};

const totp = (secret) => {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0"));
  const key = Buffer.from(bits.join("").match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const digest = createHmac("sha1", key).update(step).digest();
  return String((digest.readUInt32BE(digest[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
};

const admin = make(secretKey).admin;
const auth = make();

await call("signUp", () => auth.signUp({ email, password }));
await call("signUp, address taken", () => make().signUp({ email, password }));
await call("signUp, weak password", () => make().signUp({ email: `weak-${email}`, password: "short" }));
const { session } = await call("signInWithPassword", () => auth.signInWithPassword({ email, password }));
await call("signInWithPassword, wrong password", () => make().signInWithPassword({ email, password: "wrong" }));
await call("getUser", () => auth.getUser());
await call("getClaims", () => auth.getClaims());
await call("refreshSession", () => auth.refreshSession());
await call("refreshSession, unknown token", () => make().refreshSession({ refresh_token: "aaaaaaaaaaaa" }));
await call("setSession", () => make().setSession(session));
await call("updateUser, data", () => auth.updateUser({ data: { name: "Ada" } }));
await call("updateUser, same password", () => auth.updateUser({ password }));
await call("updateUser, password", () => auth.updateUser({ password: "another fine password" }));
await call("updateUser, phone", () => auth.updateUser({ phone: "+15555550100" }));
await call("updateUser, email", () => auth.updateUser({ email: `new-${email}` }));
const change = { email: `moving-${email}`, newEmail: `moved-${email}` };
await admin.createUser({ email: change.email, password, email_confirm: true });
const first = await call("admin.generateLink, email_change_current", () => admin.generateLink({ type: "email_change_current", ...change }));
const second = await call("admin.generateLink, email_change_new", () => admin.generateLink({ type: "email_change_new", ...change }));
const confirm = (link) => make().verifyOtp({ token_hash: link.properties.hashed_token, type: "email_change" });
await call("verifyOtp, first address of a change", () => confirm(first));
await call("verifyOtp, second address of a change", () => confirm(second));
await call("signInWithPassword, new address", () => make().signInWithPassword({ email: change.newEmail, password }));
await call("resetPasswordForEmail", () => make().resetPasswordForEmail(email));
await call("resend", () => make().resend({ type: "signup", email }));
await call("signInWithOtp, email", () => make().signInWithOtp({ email }));
await call("signInWithOtp, phone", () => make().signInWithOtp({ phone: "+15555550100" }));
await call("verifyOtp, wrong code", () => make().verifyOtp({ email, token: "000000", type: "email" }));
const link = await call("admin.generateLink, magiclink", () => admin.generateLink({ type: "magiclink", email }));
const token_hash = link.properties.hashed_token;
await call("verifyOtp, link", () => make().verifyOtp({ token_hash, type: "magiclink" }));
await call("reauthenticate", () => auth.reauthenticate());
await call("getUserIdentities", () => auth.getUserIdentities());
await call("linkIdentity", () => auth.linkIdentity({ provider: "google", options: { skipBrowserRedirect: true } }));
await call("signInWithIdToken", () => make().signInWithIdToken({ provider: "google", token: "a.b.c" }));
await call("signInWithSSO", () => make().signInWithSSO({ domain: "example.com" }));
await call("signInAnonymously", () => make().signInAnonymously());

const { id: factorId, totp: enrolled } = await call("mfa.enroll", () => auth.mfa.enroll({ factorType: "totp" }));
const challenge = await call("mfa.challenge", () => auth.mfa.challenge({ factorId }));
const verification = { factorId, challengeId: challenge.id };
await call("mfa.verify, wrong code", () => auth.mfa.verify({ ...verification, code: "abcdef" }));
await call("mfa.verify", () => auth.mfa.verify({ ...verification, code: totp(enrolled.secret) }));
await call("mfa.listFactors", () => auth.mfa.listFactors());
await call("mfa.getAuthenticatorAssuranceLevel", () => auth.mfa.getAuthenticatorAssuranceLevel());
await call("mfa.unenroll", () => auth.mfa.unenroll({ factorId }));

const attributes = { email: `made-${email}`, password, email_confirm: true };
const { user } = await call("admin.createUser", () => admin.createUser(attributes));
await call("admin.createUser, address taken", () => admin.createUser(attributes));
await call("admin.listUsers", () => admin.listUsers());
await call("admin.getUserById", () => admin.getUserById(user.id));
await call("admin.generateLink, recovery", () => admin.generateLink({ type: "recovery", email: attributes.email }));
await call("admin.inviteUserByEmail", () => admin.inviteUserByEmail(`invited-${email}`));
await call("admin.updateUserById, ban", () => admin.updateUserById(user.id, { ban_duration: "1h" }));
await call("signInWithPassword, banned", () => make().signInWithPassword({ email: attributes.email, password }));
await call("admin.mfa.listFactors", () => admin.mfa.listFactors({ userId: user.id }));
await call("admin.deleteUser", () => admin.deleteUser(user.id));
await call("admin.getUserById, deleted", () => admin.getUserById(user.id));
await call("admin.listUsers, publishable key", () => make().admin.listUsers());

await call("signOut, others", () => auth.signOut({ scope: "others" }));
const kept = (await auth.getSession()).data.session;
await call("signOut", () => auth.signOut());
await call("refreshSession, signed out", () => make().refreshSession(kept));

console.log(JSON.stringify(outcomes));
process.exit(0);
