// A person's whole life with an account, through supabase-js as a front end uses it.
// Speaks to the test by lines: writes "mail?" when it needs the last link's token, reads it from standard input.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import { createClient } from "@supabase/supabase-js";

const [url, email] = process.argv.slice(2);
const password = "correct horse battery";
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// Node before 22 has no WebSocket, and the client demands one although nothing here opens it.
const make = (key = "sb_publishable_for_tests") =>
  createClient(url, key, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: class {} },
  });

const succeed = ({ data, error }) => {
  assert.equal(error, null);
  return data;
};

const mailedToken = async () => {
  console.log("mail?");
  return (await lines.next()).value;
};

// Each code is accepted once, so the second one is that of the next period. An earlier one than that of now could expire.
const codeOf = (secret, offset) => {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0"));
  const key = Buffer.from(bits.join("").match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + offset));
  const digest = createHmac("sha1", key).update(step).digest();
  const number = digest.readUInt32BE(digest[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
};

const client = make();

const waiting = succeed(await client.auth.signUp({ email, password, options: { data: { name: "Ada" } } }));
assert.equal(waiting.session, null);
const early = await client.auth.signInWithPassword({ email, password });
assert.equal(early.error.code, "email_not_confirmed");
const confirmed = succeed(await client.auth.verifyOtp({ token_hash: await mailedToken(), type: "signup" }));
assert.equal(confirmed.user.email, email);

const weak = await make().auth.signUp({ email: `weak-${email}`, password: "short" });
assert.equal(weak.error.code, "weak_password");
assert.deepEqual(weak.error.reasons, ["length"]);
const wrong = await make().auth.signInWithPassword({ email, password: "wrong" });
assert.equal(wrong.error.code, "invalid_credentials");

const signedIn = succeed(await client.auth.signInWithPassword({ email, password }));
assert.equal(signedIn.user.user_metadata.name, "Ada");
const claims = succeed(await client.auth.getClaims());
assert.equal(claims.claims.sub, signedIn.user.id);
assert.equal(claims.claims.aud, "authenticated");

const refreshed = succeed(await client.auth.refreshSession());
assert.notEqual(refreshed.session.refresh_token, signedIn.session.refresh_token);

const updated = succeed(await client.auth.updateUser({ data: { name: "Grace" } }));
assert.equal(updated.user.user_metadata.name, "Grace");

succeed(await client.auth.resetPasswordForEmail(email));
const recovering = make();
succeed(await recovering.auth.verifyOtp({ token_hash: await mailedToken(), type: "recovery" }));
succeed(await recovering.auth.updateUser({ password: "another fine password" }));
const evicted = await client.auth.getUser();
assert.equal(evicted.error.name, "AuthSessionMissingError");

const again = make();
const { session } = succeed(await again.auth.signInWithPassword({ email, password: "another fine password" }));
assert.equal((await again.auth.signOut()).error, null);
const gone = await make().auth.getUser(session.access_token);
assert.equal(gone.error.name, "AuthSessionMissingError");
const stale = await make().auth.refreshSession({ refresh_token: session.refresh_token });
assert.equal(stale.error.code, "refresh_token_not_found");

const careful = make();
succeed(await careful.auth.signInWithPassword({ email, password: "another fine password" }));
const enrolled = succeed(await careful.auth.mfa.enroll({ factorType: "totp", friendlyName: "Telephone" }));
assert.match(enrolled.totp.qr_code, /^data:image\/svg\+xml;utf-8,<svg /);
const { id: factorId, totp: { secret } } = enrolled;
const challenged = succeed(await careful.auth.mfa.challenge({ factorId }));
const mistyped = await careful.auth.mfa.verify({ factorId, challengeId: challenged.id, code: "000000x" });
assert.equal(mistyped.error.code, "mfa_verification_failed");
succeed(await careful.auth.mfa.verify({ factorId, challengeId: challenged.id, code: codeOf(secret, 0) }));
const raised = succeed(await careful.auth.mfa.getAuthenticatorAssuranceLevel());
assert.deepEqual([raised.currentLevel, raised.nextLevel], ["aal2", "aal2"]);
assert.deepEqual(succeed(await careful.auth.mfa.listFactors()).totp.map((factor) => factor.id), [factorId]);

const later = make();
succeed(await later.auth.signInWithPassword({ email, password: "another fine password" }));
const lowered = succeed(await later.auth.mfa.getAuthenticatorAssuranceLevel());
assert.deepEqual([lowered.currentLevel, lowered.nextLevel], ["aal1", "aal2"]);
assert.equal((await later.auth.updateUser({ password: "a third password" })).error.code, "insufficient_aal");
succeed(await later.auth.mfa.challengeAndVerify({ factorId, code: codeOf(secret, 1) }));
succeed(await later.auth.updateUser({ password: "a third password" }));
succeed(await later.auth.mfa.unenroll({ factorId }));
succeed(await later.auth.refreshSession());
assert.equal(succeed(await later.auth.mfa.getAuthenticatorAssuranceLevel()).nextLevel, "aal1");

const visitor = make();
const visiting = succeed(await visitor.auth.signInAnonymously());
assert.equal(visiting.user.is_anonymous, true);
succeed(await visitor.auth.updateUser({ email: `visitor-${email}`, password }));
succeed(await visitor.auth.verifyOtp({ token_hash: await mailedToken(), type: "email_change" }));
const permanent = succeed(await make().auth.signInWithPassword({ email: `visitor-${email}`, password }));
assert.deepEqual([permanent.user.id, permanent.user.is_anonymous], [visiting.user.id, false]);

const admin = make("sb_secret_for_tests").auth.admin;
const invited = succeed(await admin.inviteUserByEmail(`guest-${email}`, { data: { name: "Guest" } }));
const guest = make();
succeed(await guest.auth.verifyOtp({ token_hash: await mailedToken(), type: "invite" }));
succeed(await guest.auth.updateUser({ password }));
assert.equal(succeed(await make().auth.signInWithPassword({ email: `guest-${email}`, password })).user.id, invited.user.id);
const guarded = succeed(await guest.auth.mfa.enroll({ factorType: "totp" }));
assert.deepEqual(succeed(await admin.mfa.listFactors({ userId: invited.user.id })).factors.map(({ id }) => id), [guarded.id]);
succeed(await admin.mfa.deleteFactor({ userId: invited.user.id, id: guarded.id }));
assert.deepEqual(succeed(await guest.auth.mfa.listFactors()).all, []);

console.log("done");
process.exit(0);
