// Uses the page as a person would, in a real browser, and reports what went wrong as JSON on the last line.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { arrival, gate, HOSTILE, LATE, newPerson, oneTimeCode, PASSWORD, problems, report, url } from "./person.mjs";

process.env.MEM0_TELEMETRY = "false";
const { MemoryClient } = createRequire(new URL("../mem0_js/package.json", import.meta.url))("mem0ai");
const email = `anna-${Date.now()}@example.com`;
const { page, provoked, look, stored, go, expect, openChatControls, stop } = await newPerson();

const answered = () => page.locator("keepsake-chat .message.assistant:not([aria-busy])");
async function say(text) {
  const before = await answered().count();
  await page.getByLabel("Message").fill(text);
  await page.keyboard.press("Enter");
  await page.waitForFunction((n) => document.querySelectorAll("keepsake-chat .message.assistant:not([aria-busy])").length > n, before);
}
/** Nothing that was said is still being read, so that no memory is added by itself. */
async function remembered() {
  const isDone = async () => {
    const { call } = await import("./page/api.js");
    const { results } = await call("GET", "/v1/events/?page_size=100");
    return results.every((each) => !["PENDING", "RUNNING"].includes(each.status));
  };
  await page.waitForFunction(isDone, undefined, { polling: 200 });
}

try {
  await page.goto(url);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await look("sign-in");
  await page.getByRole("button", { name: "Create an account" }).click();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password (at least 8 characters)").fill(PASSWORD);
  await look("sign-up");
  await page.getByRole("button", { name: "Create account" }).click();

  await page.getByRole("heading", { name: "Your first memory" }).waitFor();
  await look("start");
  await expect(page.getByRole("link", { name: "Chat and be remembered" }), "the way to the chat");
  await page.getByRole("button", { name: "Connect an application" }).click();
  await page.getByRole("button", { name: "Make a key" }).click();
  await page.locator(".secret code").waitFor();
  await page.getByRole("button", { name: "Look for it" }).click();
  await expect(page.getByText("Nothing has arrived yet."), "that nothing arrived");
  await page.getByRole("button", { name: "Try it" }).click();
  await expect(page.getByText("It arrived:"), "the first memory");
  await look("start-steps");
  const apiKey = (await page.locator(".secret code").textContent()) ?? "";
  await expect(page.locator("pre", { hasText: apiKey }), "the lines with the new key");
  const me = await (await page.request.post(`${url}/v1/auth/login`, { data: { email, password: PASSWORD } })).json();
  await new MemoryClient({ apiKey, host: url }).add(["My bicycle is orange.", "I play the cello.", "The cello is what I play."].map((content) => ({ role: "user", content })), { userId: me.user.id, infer: false });
  if (!(await page.locator("pre").first().textContent()).includes(`"user_id": "${me.user.id}"`)) problems.push("the lines remember for another person");
  await page.getByRole("button", { name: "Look for it" }).click();
  await expect(page.getByText("My bicycle is orange."), "what the application sent");

  await go("Chat");
  await say("I live in Rome and I play the cello.");
  await look("chat");
  await say("What instrument do I play?");
  await expect(page.getByText("memory was used").or(page.getByText("memories were used")), "recalled memories");

  await go("Memories");
  const cello = page.locator("li.card", { hasText: "cello" });
  await expect(cello, "the memory of the chat");
  await expect(page.locator("li.card", { hasText: "bicycle" }), "the memory that mem0's client added with the key");
  await cello.first().getByRole("button", { name: /^Edit/ }).click();
  await page.getByLabel("New wording").fill("I live in Oslo and I play the cello.");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.locator("li.card", { hasText: "Oslo" }), "the corrected memory");
  await page.getByText("Add a memory").click();
  await page.getByLabel("What should be remembered?").fill(HOSTILE);
  await page.getByRole("button", { name: "Remember" }).click();
  await expect(page.locator("li.card", { hasText: "onerror" }), "the hostile memory as text");
  await page.getByLabel("Search memories").fill("music instrument");
  await page.getByRole("button", { name: "Search" }).click();
  await expect(page.locator("meter"), "scores");
  await look("memories");
  await page.getByRole("button", { name: "Show all" }).click();
  await page.locator("li.card", { hasText: "onerror" }).getByRole("button", { name: /^History/ }).click();
  await expect(page.locator(".history li"), "the history");
  await page.locator("li.card", { hasText: "onerror" }).getByRole("button", { name: /^Archive/ }).click();
  await page.locator("li.card", { hasText: "onerror" }).waitFor({ state: "detached" });

  await go("Profiles");
  await page.getByLabel("Name").fill(`Work ${HOSTILE}`);
  await page.getByLabel("Persona").fill(HOSTILE);
  await page.getByRole("button", { name: "Create profile" }).click();
  await expect(page.locator("li.card", { hasText: "Work" }), "the new profile");
  await look("profiles");

  await go("Memories");
  await remembered();
  await page.getByLabel("Profile").selectOption({ index: 0 });
  const names = await page.getByLabel("Profile").locator("option").allTextContents();
  await page.getByLabel("Profile").selectOption({ label: names.find((each) => each.startsWith("Work")) });
  await expect(page.getByText("Nothing is remembered in this profile yet."), "an empty profile");
  await page.getByLabel("Profile").selectOption({ label: names.find((each) => !each.startsWith("Work")) });
  await expect(page.locator("li.card", { hasText: "Oslo" }), "the memories of the first profile");
  const count = await page.locator("li.card").count();

  await go("Chat");
  await openChatControls();
  await page.getByText("Incognito", { exact: true }).click();
  await expect(page.locator("html[data-mode=incognito]"), "the look of incognito");
  const before = await stored();
  await say("My secret is a purple zeppelin.");
  await look("incognito");
  if ((await stored()).includes("zeppelin") || (await stored()) !== before) problems.push("incognito left something in the browser");
  await go("Memories");
  await page.locator("li.card").first().waitFor();
  if ((await page.locator("li.card").count()) !== count) problems.push("incognito changed the memories");

  await go("Chat");
  await expect(page.getByText("Your incognito conversation has ended and is gone."), "that the incognito conversation has ended");
  await say("Forget that I play the accordion.");
  await expect(page.getByText("No memory matches, so there is nothing to delete."), "that nothing matches");
  await say("Forget that I play the cello.");
  const question = page.getByRole("group", { name: "These memories match. Delete them?" });
  if (await question.count()) {
    await expect(question.locator("label", { hasText: "Oslo" }), "the memory to forget");
    await question.getByText(/^and \d+ more that sa/).first().click();
    await question.getByLabel(/^Also delete the .*messages? of your conversations/).check();
    await look("forget");
    await page.getByRole("button", { name: /^Delete \d/ }).click();
    await expect(page.locator(".message.assistant", { hasText: /Deleted \d .*So w(as|ere) \d/ }), "what was deleted");
    await page.locator(".message", { hasText: "cello" }).first().waitFor({ state: "detached" });
  } else problems.push("missing: the question what to forget");
  await go("Memories");
  await page.locator("li.card").first().waitFor();
  if (await page.locator("li.card", { hasText: "Oslo" }).count()) problems.push("the memory was not forgotten");

  await go("Developers");
  await page.getByLabel("Name of the key").fill(HOSTILE);
  await page.getByRole("button", { name: "Create key" }).click();
  await expect(page.locator(".secret code"), "the new key");
  await look("developers");
  const rows = page.locator("li.card", { hasText: "onerror" });
  await rows.first().getByRole("button", { name: /^Revoke/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await rows.first().waitFor({ state: "detached" });
  if (!(await page.locator("pre").first().textContent()).includes("ks_…")) problems.push("the lines show a key that was revoked");

  // Links in e-mails redirect to the page with an error or a session after the #.
  await page.goto(`${url}/#error=access_denied&error_code=otp_expired`);
  await page.reload();
  await expect(page.getByText("This link does not work any more."), "the error of a link");
  const login = await page.request.post(`${url}/v1/auth/login`, { data: { email, password: PASSWORD } });
  const session = await login.json();
  await page.goto(`${url}/#access_token=${session.access_token}&refresh_token=${session.refresh_token}&type=recovery`);
  await page.reload();
  await page.getByRole("heading", { name: "Choose a new password" }).waitFor();
  if (page.url().includes("token")) problems.push("a token remains in the address");
  await look("new-password");
  await page.getByLabel("Password (at least 8 characters)").fill("another horse battery");
  // The first view arrives late, when the person has already gone to another one, which must stay.
  const chosen = gate();
  await page.route("**/page/chat/chat.js", async (route) => {
    await chosen.opened;
    await route.continue();
  });
  const late = page.waitForResponse("**/page/chat/chat.js", LATE);
  await page.getByRole("button", { name: "Set password" }).click();

  await go("Account");
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  chosen.open();
  await arrival(page, late);
  await expect(page.getByRole("heading", { name: "Sessions" }), "the view that was chosen last");
  await look("account");
  await page.getByRole("button", { name: "Add an authenticator app" }).click();
  const secret = await page.locator(".factor-secret").textContent();
  await page.getByRole("button", { name: /^Copy secret/ }).click();
  await page.waitForFunction(async (copied) => (await navigator.clipboard.readText()) === copied, secret).catch(() => problems.push("the secret was not copied"));
  if (!(await page.getByRole("link", { name: "Open in your app" }).getAttribute("href")).startsWith("otpauth://")) problems.push("the app cannot be opened");
  await page.getByLabel("Six digits from your authenticator app").fill(oneTimeCode(secret));
  await look("second-factor");
  await page.getByRole("button", { name: "Confirm" }).click();
  await expect(page.getByRole("button", { name: "Remove" }), "the second factor");
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password", { exact: true }).fill("another horse battery");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Two-step sign-in" }).waitFor();
  await look("sign-in-code");
  await page.getByRole("button", { name: "Continue without it" }).click();
  provoked.push(/403 \(Forbidden\)/);
  await go("Account");
  const downloading = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export my data" }).click();
  const exported = await (await downloading).path();
  const lines = readFileSync(exported, "utf8").trim().split("\n").map((each) => JSON.parse(each));
  if (!lines.some((each) => each.type === "memory" && JSON.stringify(each).includes("vegetarian"))) problems.push("the export lacks a memory");
  await page.getByLabel("Import a file").setInputFiles({ name: "export.jsonl", mimeType: "application/x-ndjson", buffer: Buffer.concat([readFileSync(exported), Buffer.from("no json\n")]) });
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByText(/0 added, \d+ already there, 1 lines with errors/), "the result of the import");
  await look("export-and-import");
  await page.getByRole("button", { name: "Erase everything about me" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Erase", exact: true }).click();
  await page.getByRole("heading", { name: "Enter your six digits" }).waitFor();
  await look("confirm-factor");
  await page.getByRole("dialog").getByLabel("Six digits").fill(oneTimeCode(secret, 1));
  await page.getByRole("dialog").getByRole("button", { name: "Continue" }).click();
  await expect(page.getByText(/memor(y|ies), \d+ messages? and \d+ profiles? were erased. Nothing is left./), "the sentence of the receipt");
  await page.getByText("Counts of each store").click();
  await expect(page.getByRole("table", { name: "Receipt" }), "the receipt");
  const left = await page.locator("tbody tr td:last-child").allTextContents();
  await page.getByLabel("Current password").fill(PASSWORD);
  await page.getByLabel("New password").fill("a third horse battery");
  await page.getByRole("button", { name: "Change password" }).click();
  await expect(page.getByText("The current password is wrong."), "the refusal of another password");
  if (left.some((each) => each !== "0")) problems.push(`the receipt says that something is left: ${left}`);
  await look("receipt");
  if (/_/.test(await page.locator("table.receipt").textContent())) problems.push("the receipt shows names of tables");
  const number = (await page.locator(".receipt-of .hint").textContent()).split("/").pop();
  await page.getByText("Look up a receipt").click();
  await page.getByLabel("Number of the receipt").fill(number);
  await page.getByRole("button", { name: "Show receipt" }).click();
  await expect(page.locator(".receipt-lookup .receipt-of"), "the receipt that was looked up");
  await page.reload();
  await page.getByRole("heading", { name: "Account", exact: true }).waitFor();
  await page.getByRole("button", { name: "Delete my account" }).click();
  await look("delete-account");
  await page.getByRole("dialog").getByRole("button", { name: "Delete everything" }).click();
  await expect(page.getByText("Your account was deleted."), "the end of the account");
  if ((await stored()).includes("keepsake")) problems.push("a token remains after the deletion");
  if (await page.evaluate(() => window.hacked)) problems.push("text was run as a script");
} catch (error) {
  await stop(error);
}
await report();
