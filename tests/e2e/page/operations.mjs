// The views of operators and of memories, the chat when something fails, and where the sign-in is kept.
import { arrival, gate, HOSTILE, LATE, newPerson, PASSWORD, problems, report, until, url } from "./person.mjs";

const email = `olga-${Date.now()}@example.com`;
const person = await newPerson();
const { context, page, look, stored, go, expect, openChatControls, stop } = person;
const glance = (name) => person.glance(name);
const card = (text) => page.locator("li.card", { hasText: text });
const choose = (label, option) => page.getByRole("combobox", { name: label, exact: true }).selectOption({ label: option });
const check = (isRight, what) => isRight || problems.push(what);

/** What the browser itself reports about a response that the test made fail is not a problem of the page. */
async function expectingFailures(work) {
  const before = problems.length;
  await work();
  // What the browser reports arrives with the next round trip.
  await page.evaluate(() => new Promise((done) => setTimeout(done)));
  const reported = problems.splice(before);
  problems.push(...reported.filter((each) => !each.includes("Failed to load resource")));
}

async function signUp() {
  await page.goto(url);
  await page.getByRole("button", { name: "Create an account" }).click();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password (at least 8 characters)").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("heading", { name: "Your first memory" }).waitFor();
}

async function signOut() {
  await go("Account");
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
}

async function cookieOfSignIn() {
  return (await context.cookies(`${url}/v1/auth`)).find((each) => each.name === "keepsake_refresh");
}

/** The refresh token is where no script can read it, and other tabs and reloads go on with it. */
async function keepsTheSignIn() {
  const cookie = await cookieOfSignIn();
  check(cookie?.httpOnly && cookie.sameSite === "Strict" && cookie.path === "/v1/auth", `the cookie is ${JSON.stringify({ ...cookie, value: "" })}`);
  check(!(await stored()).includes(cookie?.value ?? "missing"), "the browser's storage contains the refresh token");
  check(!(await page.evaluate(() => document.cookie)), "a script can read the cookie");
  await page.reload();
  await page.getByRole("navigation").waitFor();
  check((await cookieOfSignIn())?.value !== cookie?.value, "the refresh token was not replaced");
  const second = await context.newPage();
  await second.goto(url);
  await second.getByRole("navigation").waitFor().catch(() => problems.push("a new tab needs another sign-in"));
  await second.close();
}

async function signIn(of, as) {
  await of.goto(url);
  await of.getByLabel("E-mail address").fill(as);
  await of.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await of.getByLabel("Stay signed in on this browser").check();
  await of.getByRole("button", { name: "Sign in" }).click();
  await of.getByRole("navigation").waitFor();
}

/** Tabs share the cookie: each goes on after the other has used it, and follows it to another account. */
async function signsInWithTwoTabs() {
  await signIn(page, email);
  check(((await cookieOfSignIn())?.expires ?? 0) > Date.now() / 1000 + 86_400, "staying signed in ends with the browser");
  const second = await context.newPage();
  await second.goto(url);
  await second.getByRole("navigation").waitFor();
  await page.reload();
  await page.getByRole("navigation").waitFor();
  const other = `other-${email}`;
  await page.request.post(`${url}/v1/auth/signup`, { data: { email: other, password: PASSWORD } });
  await second.getByRole("link", { name: "Account" }).click();
  await second.getByRole("button", { name: "Sign out", exact: true }).click();
  await second.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(second, other);
  await expectingFailures(async () => {
    await go("Memories");
    // A narrow window does not show the address.
    await page.locator(".who", { hasText: other }).waitFor({ state: "attached" }).catch(() => problems.push("missing: the account of the other tab"));
  });
  await second.close();
}

async function deletesTheOnlyProject() {
  await page.evaluate((name) => (location.hash = name), "#developers/project");
  await page.getByRole("button", { name: /^Delete project/ }).click();
  await page.getByLabel(/^Type the name/).fill("My project");
  await page.getByRole("dialog").getByRole("button", { name: "Delete project" }).click();
  await expect(page.getByText("Deleted. You now have a new, empty project."), "what is there after the only project");
}

async function addMemory(text, metadata = "") {
  await page.getByLabel("What should be remembered?").fill(text);
  if (metadata) {
    await page.getByText("More", { exact: true }).click();
    await page.getByLabel("Metadata").fill(metadata);
  }
  await page.getByRole("button", { name: "Remember" }).click();
  await expect(card(text.slice(0, 20)), `the memory ${text}`);
}

async function usesMemories() {
  await go("Memories");
  await expect(page.getByText("Nothing is remembered in this profile yet."), "an empty list");
  await glance("memories-empty");
  await page.getByText("Add a memory").click();
  await addMemory("I play the cello in an orchestra.", `topic: music\nlevel: 3\nnote: ${HOSTILE}`);
  await addMemory("I am allergic to peanuts.");
  await expect(card("cello").getByText("level: 3"), "the metadata");
  await searchesWithReasons();
  await filters();
  await archivesAndRestores();
  await seesWhatWasReplaced();
  await moves();
  await ignoresLateAnswers();
  await saysWhatFailed();
}

async function searchesWithReasons() {
  await page.getByLabel("Search memories").fill("music instrument");
  await page.getByRole("button", { name: "Search" }).click();
  await expect(card("cello").getByRole("list", { name: "What moved the score up or down" }).getByText("Meaning"), "the parts of the score");
  await look("memories-search");
  await page.getByRole("button", { name: "Show all" }).click();
  await expect(card("peanuts"), "all memories again");
}

async function filters() {
  await page.getByText("Filters", { exact: true }).click();
  await choose("Kind", "Facts");
  await expect(page.getByText("No memory matches."), "no facts");
  await choose("Kind", "Said");
  await expect(card("peanuts"), "what was said");
  await choose("Said by", "A file");
  await expect(page.getByText("No memory matches."), "nothing from a file");
  await choose("Said by", "Me");
  await page.getByLabel("Since", { exact: true }).fill("2020-01-01");
  await expect(card("peanuts"), "what the person said");
  await expect(page.getByText("Filters (3)"), "how many filters are set");
  await page.getByLabel("Until", { exact: true }).fill("2020-01-02");
  await expect(page.getByText("No memory matches."), "nothing so long ago");
  await glance("memories-filters");
  await page.getByRole("button", { name: "Show all" }).click();
  await expect(card("peanuts"), "all memories without filters");
}

async function archivesAndRestores() {
  await card("peanuts").getByRole("button", { name: /^Archive/ }).click();
  await card("peanuts").waitFor({ state: "detached" });
  await choose("State", "Archived");
  await expect(card("peanuts").getByText("archived"), "the archived memory");
  check((await page.locator("li.card").count()) === 1, "the list of archived memories has others");
  await card("peanuts").getByRole("button", { name: /^Restore/ }).click();
  await expect(page.getByText("No memory matches."), "no archived memory any more");
  await page.getByRole("button", { name: "Show all" }).click();
  await card("peanuts").getByRole("button", { name: /^History/ }).click();
  await expect(page.locator(".history").getByText("Restored"), "the restoring in the history");
}

/** The newer statement replaces the older one, which can be seen and brought back. */
async function seesWhatWasReplaced() {
  await addMemory("I live in Rome.");
  await addMemory("I live in Oslo now.");
  await untilReplaced("Rome");
  await choose("State", "Replaced by newer ones");
  await expect(card("Rome").getByText(/Replaced by “?I live in Oslo now.”?, since .*\d/), "what replaced the memory, and since when");
  await card("Rome").getByRole("button", { name: /^History/ }).click();
  await expect(page.locator(".history ins", { hasText: "Oslo" }), "what replaced a memory");
  await glance("memories-replaced");
  await card("Rome").getByRole("button", { name: /^Restore/ }).click();
  await page.locator(".history").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Show all" }).click();
  // Only the list of all current memories has this one, too.
  await expect(card("peanuts"), "all current memories");
  await expect(card("Rome"), "the restored memory");
  await card("Oslo").getByRole("button", { name: /^History/ }).click();
  await expect(page.locator(".history del", { hasText: "Rome" }), "what a memory replaced");
  await decidesAboutReplaced();
  for (const name of ["Oslo", "Rome"]) await deleteCard(name);
}

/** It is decided in the background, once the new memory is found. */
async function untilReplaced(text) {
  await until(
    async () => !(await card(text).count()),
    async () => {
      const answer = page.waitForResponse("**/v3/memories/");
      await page.getByRole("button", { name: "Show all" }).click();
      await arrival(page, answer);
    },
  );
  await card(text).waitFor({ state: "detached" });
}

/** A memory that replaced another is deleted, and the other one comes back. */
async function decidesAboutReplaced() {
  await addMemory("I live in Bergen now.");
  await untilReplaced("Oslo");
  await card("Bergen").getByRole("button", { name: /^Delete/ }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByRole("group", { name: /^It replaced/ }).getByText("I live in Oslo now."), "what the memory replaced");
  check(await dialog.getByLabel(/^Leave/).isChecked(), "replaced memories do not stay so by themselves");
  await dialog.getByLabel(/^Restore/).check();
  await glance("memories-delete-replaced");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await card("Bergen").waitFor({ state: "detached" });
  await expect(card("Oslo"), "the memory that was brought back");
}

async function deleteCard(text) {
  await card(text).getByRole("button", { name: /^Delete/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await card(text).waitFor({ state: "detached" });
}

async function moves() {
  await page.evaluate(() => (location.hash = "#profiles"));
  await page.getByLabel("Name").fill(`Work ${HOSTILE}`);
  await page.getByRole("button", { name: "Create profile" }).click();
  await expect(card("Work"), "the second profile");
  await go("Memories");
  await card("cello").getByRole("button", { name: /^Move/ }).click();
  await look("memories-move");
  await page.getByRole("button", { name: "Move it" }).click();
  await card("cello").waitFor({ state: "detached" });
  const names = await page.getByRole("combobox", { name: "Profile", exact: true }).locator("option").allTextContents();
  await choose("Profile", names.find((each) => each.startsWith("Work")));
  await card("cello").getByRole("button", { name: /^History/ }).click();
  await expect(page.locator(".history").getByText("Moved"), "the move in the history");
  await glance("memories-history");
  await choose("Profile", names.find((each) => !each.startsWith("Work")));
  await expect(card("peanuts"), "the memories of the first profile");
}

/** A slow answer to an older question arrives after the answer to a newer one. */
async function ignoresLateAnswers() {
  const newer = gate();
  const isLate = (request) => request.postDataJSON().query === "slow";
  await page.route("**/v3/memories/search/", async (route) => {
    const response = await route.fetch();
    const memory = route.request().postDataJSON().query;
    if (isLate(route.request())) await newer.opened;
    await route.fulfill({ response, json: { results: (await response.json()).results.slice(0, 1).map((each) => ({ ...each, memory })) } });
  });
  const late = page.waitForResponse((response) => response.url().endsWith("/v3/memories/search/") && isLate(response.request()), LATE);
  for (const query of ["slow", "peanuts"]) {
    await page.getByLabel("Search memories").fill(query);
    await page.keyboard.press("Enter");
  }
  const shown = page.locator("li.card .memory-text");
  await expect(shown.filter({ hasText: /^peanuts$/ }), "the answer to the newer question");
  newer.open();
  await arrival(page, late);
  check((await shown.allTextContents()).join() === "peanuts", "a late answer replaced a newer one");
  await page.unroute("**/v3/memories/search/");
}

async function saysWhatFailed() {
  await expectingFailures(async () => {
    await page.route("**/v3/memories/", (route) => route.fulfill({ status: 503, headers: { "X-Request-ID": "r-4711" }, json: { detail: "The index is unavailable.", code: "unavailable" } }));
    await page.getByRole("button", { name: "Show all" }).click();
    await expect(page.getByText("The index is unavailable. (request r-4711)"), "the error with the request id");
    await glance("memories-error");
    await page.unroute("**/v3/memories/");
    await context.setOffline(true);
    await page.getByRole("button", { name: "Try again" }).click();
    await expect(page.getByText("The server cannot be reached."), "the offline state");
    await glance("memories-offline");
    await context.setOffline(false);
    await page.getByRole("button", { name: "Try again" }).click();
    await expect(card("peanuts"), "the memories after trying again");
  });
}

const answers = () => page.locator("keepsake-chat .message.assistant:not([aria-busy])");
async function say(text) {
  const before = await answers().count();
  await page.getByLabel("Message").fill(text);
  await page.keyboard.press("Enter");
  await page.waitForFunction((n) => document.querySelectorAll("keepsake-chat .message.assistant:not([aria-busy])").length > n, before);
}

async function chats() {
  await go("Chat");
  await say("What am I allergic to? Peanuts?");
  await page.getByText(/memor(y was|ies were) used/).click();
  await expect(page.locator(".memories-of-answer").getByText("Meaning"), "why a memory was used");
  await expect(page.getByRole("button", { name: "Rename" }), "what can be done with a new conversation");
  await look("chat-reasons");
  await say("Which chess opening is best?");
  await expect(page.getByText("Nothing else that is remembered fits this."), "that nothing is known");
  await losesTheConnection();
  await keepsWhatWasWritten();
  await isIncognito();
  await forgetsEverything();
}

/** The server gets the message and its answer is lost on the way. Trying again must not say it twice. */
async function losesTheConnection() {
  let answered = false;
  await page.route("**/v1/sessions/*/messages", async (route) => {
    if (route.request().method() === "GET") return route.continue();
    if (!answered) await route.fetch();
    answered = true;
    await route.abort();
  });
  await expectingFailures(async () => {
    await page.getByLabel("Message").fill("My aunt lives in Turin.");
    await page.keyboard.press("Enter");
    await expect(page.getByRole("button", { name: "Try again" }), "a way to try again");
    check((await page.getByLabel("Message").inputValue()) === "My aunt lives in Turin.", "what was written is lost");
    await glance("chat-failed");
    await page.keyboard.press("Enter");
    await page.waitForTimeout(200);
    await page.unroute("**/v1/sessions/*/messages");
    await page.getByRole("button", { name: "Try again" }).click();
    await answers().nth(2).waitFor();
  });
  if (!(await page.locator("button.session").first().isVisible())) await page.getByText("Conversations", { exact: true }).click();
  await page.locator("button.session").first().click();
  await page.locator(".message.user").nth(2).waitFor();
  check((await page.locator(".message.user", { hasText: "Turin" }).count()) === 1, "the repeated message counts twice");
}

async function keepsWhatWasWritten() {
  await page.getByLabel("Message").fill("a draft");
  await go("Profiles");
  await go("Chat");
  check((await page.getByLabel("Message").inputValue()) === "a draft", "the draft is lost");
  check(!(await stored()).includes("a draft"), "the draft is stored");
}

async function isIncognito() {
  await openChatControls();
  await page.getByText("Incognito", { exact: true }).click();
  await expect(page.getByText("You are incognito."), "what incognito means");
  check((await page.title()).startsWith("Incognito"), "the title does not say incognito");
  await say("I collect stamps.");
  check(!(await page.getByRole("button", { name: "Rename" }).count()), "an incognito conversation can be renamed");
  await glance("chat-incognito");
  await page.getByRole("button", { name: "New conversation" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByText("I collect stamps."), "the incognito conversation after staying");
  await page.getByRole("button", { name: "New conversation" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Leave and delete" }).click();
  await page.locator("html[data-mode=normal]").waitFor();
  check((await page.title()) === "Keepsake", "the title still says incognito");
}

async function forgetsEverything() {
  await say("Forget everything you know about me.");
  await page.getByRole("group", { name: "Delete everything in this profile?" }).getByLabel(/^Also delete all \d+ messages of its conversations/).check();
  await glance("chat-forget-everything");
  await page.getByRole("button", { name: "Delete all …" }).click();
  const items = page.getByRole("dialog").getByRole("listitem");
  await expect(items.getByText(/^all \d+ memories of this profile/), "how many memories go");
  await expect(items.getByText(/^all \d+ messages/), "how many messages go");
  await look("chat-forget-everything-confirm");
  await page.getByRole("dialog").getByRole("button", { name: "Delete for good" }).click();
  await expect(page.getByText(/^Deleted \d+ memories permanently. So were \d+ messages/), "what was deleted");
}

async function operates() {
  await page.evaluate((name) => (location.hash = name), "#start");
  await page.getByRole("button", { name: "Connect an application" }).click();
  await page.getByRole("button", { name: "Make a key" }).click();
  const key = await page.locator(".secret code").textContent();
  await page.request.get(`${url}/v1/profiles?user_id=anna`, { headers: { "X-API-Key": key } });
  await showsNoUsageYet();
  await go("Operations");
  await expect(page.getByText("Everything works"), "the state of the server");
  await expect(page.locator(".audit li", { hasText: "API key created" }), "the audit log");
  await untilCounted("First key");
  const plot = page.getByRole("img", { name: /^Requests per day, from .+\. Highest: \d/ });
  await expect(plot, "the plot of requests");
  await page.locator(".plot", { hasText: "Requests" }).first().getByText("Show as a table").click();
  await expect(page.locator(".plot table td").first(), "the plot as a table");
  await expect(page.locator("caption", { hasText: "By API key" }), "the usage of each key");
  await look("operations");
  await choose("API key", "First key");
  await expect(page.locator(".plot", { hasText: "Requests" }).getByText("1 in total"), "the usage of one key");
  await choose("Period", "Last 7 days");
  await expect(plot, "the plot of a week");
  await readsTheAuditLog();
}

/** The counts are written every few seconds. */
async function untilCounted(key) {
  const option = page.getByRole("combobox", { name: "API key", exact: true }).locator("option", { hasText: key });
  let period = 30;
  await until(
    async () => Boolean(await option.count()),
    async () => {
      period = 120 - period;
      const answer = page.waitForResponse("**/v1/admin/usage?*");
      await choose("Period", `Last ${period} days`);
      await arrival(page, answer);
    },
  );
}

async function showsNoUsageYet() {
  const nothing = { since: "2026-01-01", until: "2026-01-07", total: {}, days: [], results: [] };
  await page.route("**/v1/admin/usage?*", (route) => route.fulfill({ json: nothing }));
  await go("Operations");
  await expect(page.getByText("No requests yet."), "no usage yet");
  await glance("operations-empty");
  await page.unroute("**/v1/admin/usage?*");
  await expectingFailures(async () => {
    await page.route("**/v1/admin/**", (route) => route.abort());
    await go("Profiles");
    await go("Operations");
    await expect(page.locator(".failure").nth(2), "three views that are offline");
    await glance("operations-offline");
    await page.unroute("**/v1/admin/**");
  });
  await go("Profiles");
}

async function readsTheAuditLog() {
  const entries = page.locator(".audit li");
  await choose("Action", "API key created");
  await page.waitForFunction(() => document.querySelectorAll(".audit li").length === 1);
  await expect(entries.getByText(email), "the name of the actor");
  await entries.getByRole("button", { name: /^Only this/ }).click();
  await expect(page.getByText("Only entries about First key."), "the entries about one key");
  await page.getByLabel("To", { exact: true }).fill("2020-01-01");
  await expect(page.getByText("No entry matches."), "no entry so long ago");
  await glance("operations-audit");
  await page.getByRole("button", { name: "Clear filters" }).click();
  await entries.nth(2).waitFor();
}

try {
  await signUp();
  await keepsTheSignIn();
  await usesMemories();
  await chats();
  await operates();
  await signOut();
  await signsInWithTwoTabs();
  await deletesTheOnlyProject();
  await signOut();
  check(!(await cookieOfSignIn()), "signing out leaves the cookie");
  check(!(await stored()).includes("keepsake"), "signing out leaves something in storage");
  check(!(await page.evaluate(() => window.hacked)), "text was run as a script");
} catch (error) {
  await stop(error);
}
await report();
