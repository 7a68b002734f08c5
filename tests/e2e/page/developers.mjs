// Uses the views for developers as the owner of a project would, with a webhook receiver and a second person.
import { readFileSync } from "node:fs";
import { arrival, gate, HOSTILE, LATE, more, newPerson, PASSWORD, problems, report, thorough, url } from "./person.mjs";

const [email, receiver] = more;
const UNREACHABLE = "http://127.0.0.1:9/";
const anna = await newPerson();
const { page, look, expect, expectThat } = anna;
const glance = (name) => anna.glance(name);
const guest = `bob-${Date.now()}@example.com`;

const card = (text) => page.locator("main li.card", { hasText: text });
const button = (name) => page.getByRole("button", { name, exact: typeof name === "string" });
const inDialog = (name) => page.getByRole("dialog").getByRole("button", { name, exact: true });
const tab = (name) => page.getByRole("navigation", { name: "Developers" }).getByRole("link", { name }).click();

/** What changed has been read again. */
const read = () => page.waitForFunction(() => !document.querySelector("main [aria-busy]"));

async function signIn({ page: of }, as, action) {
  await of.getByLabel("E-mail address").fill(as);
  await of.getByLabel(/^Password/).fill(PASSWORD);
  await of.getByRole("button", { name: action }).click();
}
let token;
async function remember(text) {
  token ??= (await (await page.request.post(`${url}/v1/auth/login`, { data: { email, password: PASSWORD } })).json()).access_token;
  const data = { messages: [{ role: "user", content: text }], infer: false };
  const added = await page.request.post(`${url}/v3/memories/add/`, { data, headers: { Authorization: `Bearer ${token}` } });
  if (!added.ok()) problems.push(`adding a memory: ${added.status()}`);
}

async function useWebhooks() {
  await tab("Webhooks");
  await page.getByText("Add a webhook").click();
  await page.getByLabel("Name of the webhook").fill(HOSTILE);
  await page.getByLabel("Address of your receiver").fill(receiver);
  await glance("webhook-form");
  await button("Create webhook").click();
  await expect(page.locator(".secret code"), "the secret of the webhook");
  await expectThat(() => document.activeElement?.matches("[role=status]"), "the focus is not at the new secret");
  await look("webhooks");

  await remember(`I like ${HOSTILE}`);
  await card("onerror").getByRole("link", { name: /^Deliveries/ }).click();
  await expect(card("Delivered"), "the delivery");
  await expect(card("Answered with status 200"), "the answer of the receiver");
  await button(/^Send again/).click();
  await page.getByText("It is sent again.").waitFor();
  await read();
  await expect(card("Delivered"), "the repeated delivery");

  await page.getByRole("link", { name: "All webhooks" }).click();
  await button(/^Edit/).click();
  await page.getByLabel("Address of your receiver").first().fill(UNREACHABLE);
  await button("Save").click();
  await expect(card(UNREACHABLE), "the new address");
  await remember("I like tea.");
  await card("onerror").getByRole("link", { name: /^Deliveries/ }).click();
  await expect(page.getByText(/^Reason: ./), "why the receiver got nothing");
  await look("deliveries");
  await page.getByRole("link", { name: "All webhooks" }).click();
  await button(/^Delete/).click();
  await inDialog("Delete").click();
  await expect(page.getByText("No webhook yet."), "no webhook after the deletion");
  await expectThat(() => document.activeElement !== document.body, "the focus is lost after a deletion");
}

async function useEvents() {
  await tab("Events");
  await expect(card("Waiting for the model"), "the event that waits for the model");
  await expect(card("Reason: The model was away."), "the reason of the failure");
  await look("events");
  anna.provoked.push(/Failed to load resource/);
  await page.route("**/v1/events/**", (route) => route.abort());
  await page.getByLabel("Show").selectOption("Failed");
  await expect(page.getByText("The server cannot be reached."), "the state without a connection");
  await glance("offline");
  await page.unroute("**/v1/events/**");
  await page.route("**/v1/events/**", (route) => route.fulfill({ status: 503, headers: { "X-Request-ID": "abc123" }, json: { detail: "The database cannot be reached." } }));
  await button("Try again").click();
  await expect(page.getByText("The database cannot be reached. (request abc123)"), "the reason and the id of a failed request");
  await page.unroute("**/v1/events/**");
  await ignoresLateAnswers();
  await button(/^Try again/).click();
  await page.getByText("It is tried again.").waitFor();
  await page.getByLabel("Show").selectOption("All events");
  await expect(card("gliders").filter({ hasText: "Succeeded" }), "the result of the retried event, without another look");
}

/** The answer with all events arrives after the newer one with the failed event, and must not replace it. */
async function ignoresLateAnswers() {
  const newer = gate();
  const isLate = (request) => !request.url().includes("FAILED");
  await page.route("**/v1/events/?*", async (route) => {
    const response = await route.fetch();
    if (isLate(route.request())) await newer.opened;
    await route.fulfill({ response });
  });
  const late = page.waitForResponse((response) => response.url().includes("/v1/events/?") && isLate(response.request()), LATE);
  await page.getByLabel("Show").selectOption("All events");
  await page.getByLabel("Show").selectOption("Failed");
  await page.locator("main li.card").nth(1).waitFor({ state: "detached" });
  await expect(card("Reason: The model was away."), "the failed event");
  newer.open();
  await arrival(page, late);
  if ((await page.locator("main li.card").count()) !== 1) problems.push("a late answer replaced a newer one");
  await page.unroute("**/v1/events/?*");
}

async function useProject() {
  await tab("Project");
  await page.getByLabel("Instructions", { exact: true }).fill(`Remember ${HOSTILE}`);
  await page.getByLabel("Categories").fill("food: what somebody eats\nmusic");
  await page.locator("section", { hasText: "What it remembers" }).getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved", { exact: true }).waitFor();
  const [entry] = await page.evaluate(async () => {
    const { call } = await import("./page/api.js");
    return (await call("GET", "/v1/admin/audit?action=project.changed")).results;
  });
  if (String(entry.details.changed.toSorted()) !== "settings.custom_categories,settings.custom_instructions") problems.push(`the audit log names what did not change: ${entry.details.changed}`);
  await page.reload();
  await page.getByLabel("Instructions", { exact: true }).waitFor();
  if ((await page.getByLabel("Instructions", { exact: true }).inputValue()) !== `Remember ${HOSTILE}`) problems.push("the instructions were not stored");
  if (!(await page.getByLabel("Categories").inputValue()).includes("food: what somebody eats")) problems.push("the categories were not stored");
  await useSwitches();
  await look("project");
  if (thorough) await moveData();
  if (thorough) await chooseLanguages();

  await page.getByLabel("Name of the new project").fill(HOSTILE);
  await button("Create project").click();
  await page.waitForFunction(() => document.querySelector("header select option:checked")?.textContent?.includes("onerror"));
  await page.getByLabel("Description").waitFor();
  await button(/^Delete project/).click();
  await page.getByLabel(/^Type the name/).fill("something else");
  await inDialog("Delete project").click();
  await expect(page.getByText("This is not the name of the project."), "the refusal of another name");
  await glance("delete-project");
  await page.getByLabel(/^Type the name/).fill(HOSTILE);
  await inDialog("Delete project").click();
  await page.locator("header label.project select").waitFor({ state: "detached" });
  await expect(page.getByText(`Deleted: ${HOSTILE}.`), "that the project was deleted");
}

async function useSwitches() {
  const section = page.locator("section", { hasText: "Lists and repetitions" });
  const lists = page.getByLabel("List what was said word for word");
  const merges = page.getByLabel("Merge repetitions daily");
  if (!(await lists.isChecked()) || (await merges.isChecked())) problems.push("the switches of a new project are not as documented");
  await lists.uncheck();
  await merges.check();
  const saved = page.waitForResponse((response) => response.request().method() === "PATCH" && response.ok());
  await section.getByRole("button", { name: "Save" }).click();
  await saved;
  await page.reload();
  await merges.waitFor();
  if ((await lists.isChecked()) || !(await merges.isChecked())) problems.push("the switches were not stored");
}

async function chooseLanguages() {
  const section = page.locator("section", { hasText: "Languages of the search" });
  const select = page.getByLabel("Languages of the search");
  if ((await select.inputValue()) !== "english") problems.push("a new project does not have the default embedder");
  await select.selectOption({ label: "Several languages" });
  await section.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText(/^Searches use the previous choice until all memories are prepared/), "the progress of the change");
  await look("project-languages");
  await page.reload();
  await select.waitFor();
  if ((await select.inputValue()) !== "multilingual") problems.push("the chosen embedder was not stored");
  await select.selectOption({ label: "English" });
  await section.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Saved", { exact: true }), "that the former embedder was chosen again");
}

async function moveData() {
  const downloading = page.waitForEvent("download");
  await button("Export the project").click();
  const file = await (await downloading).path();
  if (!readFileSync(file, "utf8").includes("gliders")) problems.push("the export of the project lacks a memory");
  await page.getByLabel("Import a file").setInputFiles(file);
  await button("Import").click();
  await expect(page.getByText(/0 added, \d+ already there, 0 lines with errors/), "the result of the import");
  await look("project-data");
}

async function useRetention() {
  await tab("Retention");
  await expect(page.getByText("No rule. Everything is kept."), "no rule at first");
  await button("Add a rule").click();
  await page.getByLabel("Name", { exact: true }).fill(HOSTILE);
  await page.getByLabel("Archive", { exact: true }).selectOption("what is more than a number");
  await page.getByLabel("Keep at most").fill("1");
  await page.getByLabel("Keep at most").fill("1000");
  await button("Preview").click();
  await expect(page.getByText("Nothing yet: no memory meets this rule today."), "that a rule catches nothing yet");
  await page.getByLabel("Keep at most").fill("1");
  await button("Preview").click();
  await expect(page.getByText(/^Memories to archive: [1-9]\d*\. To delete: 0\./), "the counts of the preview");
  await expect(page.locator(".results li", { hasText: "onerror" }), "a sample of the preview");
  await look("retention");
  await button("Save rules").click();
  await page.getByText("Rules saved").waitFor();
  if (await page.getByText("Nothing was changed or saved.").count()) problems.push("the preview remains after saving");
  await button(/^Run now/).click();
  await inDialog("Run now").click();
  await expect(card("Finished"), "the end of the run");
  await page.getByLabel("User", { exact: true }).fill(HOSTILE);
  await page.getByLabel("Reason", { exact: true }).fill(HOSTILE);
  await button("Place a hold").click();
  await button(/^Lift/).click();
  await inDialog("Lift").click();
  await expect(page.getByText("No user is under a legal hold."), "the end of the hold");
}

async function useMembers() {
  await tab("Members");
  const invite = page.locator("section", { hasText: "These people can use this project." });
  await invite.getByLabel("E-mail address").fill("carol@example.com");
  await invite.getByRole("button", { name: "Invite" }).click();
  await button("Withdraw: carol@example.com").click();
  await button("Withdraw: carol@example.com").waitFor({ state: "detached" });
  await invite.getByLabel("E-mail address").fill(guest);
  await invite.getByRole("button", { name: "Invite" }).click();
  await expect(invite.getByText(`${guest} is invited.`, { exact: false }), "that the invitation was sent");
  const link = await page.locator(".secret code").textContent();
  await look("members");

  const bob = await newPerson();
  await bob.page.goto(link);
  await bob.page.getByRole("button", { name: "Create an account" }).click();
  if (bob.page.url().includes("token")) problems.push("the token of an invitation remains in the address");
  await signIn(bob, guest, "Create account");
  await bob.expect(bob.page.getByText(/You are invited to a project/), "the invitation after signing in");
  await bob.look("invitation");
  if (thorough) await declineAnother(bob);
  await bob.page.getByRole("button", { name: "Accept" }).click();
  await bob.page.getByText("You are a member now.").waitFor();
  await bob.go("Developers");
  await bob.expect(bob.page.getByText("You are a reader of this project"), "what a reader may do");
  await bob.page.getByRole("navigation", { name: "Developers" }).getByRole("link", { name: "Members" }).click();
  await bob.expect(bob.page.locator("li.card", { hasText: email }), "the members");
  await bob.glance("members-as-reader");
  if (!(await bob.page.locator("header label.project select").textContent()).includes("My project (Reader)")) problems.push("two projects cannot be told apart");

  await page.reload();
  await button(`Change role: ${guest}`).press("Enter");
  await page.getByRole("dialog").getByLabel("Role").selectOption("USER");
  await glance("change-role");
  await inDialog("Save").press("Enter");
  await expect(card(guest).getByText("End user"), "the new role");
  await expectThat(() => document.activeElement !== document.body, "the focus is lost after a change of a role");
  await bob.page.reload();
  await bob.expect(bob.page.getByText("You are an end user of this project."), "that an end user has no keys and settings");
  await bob.page.evaluate((fragment) => (location.hash = fragment), new URL(link).hash);
  await bob.expect(bob.page.getByText(`not open for ${guest}`), "that a link was used already");
  if (bob.page.url().includes("token")) problems.push("the token of a used invitation remains in the address");
  bob.provoked.push(/Failed to load resource/);
  await button(`Remove: ${guest}`).click();
  await inDialog("Remove").click();
  await button(`Remove: ${guest}`).waitFor({ state: "detached" });
  await bob.go("Memories");
  await bob.expect(bob.page.getByText("This project was deleted, or you are no longer a member."), "why another project is shown");
  await bob.expect(bob.page.getByText("Nothing is remembered in this profile yet."), "the person's own project");
  await bob.context.close();
}

async function declineAnother(bob) {
  const invite = page.locator("section", { hasText: "These people can use all projects" });
  await invite.getByLabel("E-mail address").fill(guest);
  await invite.getByRole("button", { name: "Invite" }).click();
  const link = await invite.locator(".secret code").textContent();
  await bob.page.evaluate((fragment) => (location.hash = fragment), new URL(link).hash);
  const second = bob.page.locator("form.invitation", { hasText: "to an organization" });
  await bob.expect(bob.page.locator("form.invitation").nth(1), "the second invitation");
  await second.getByRole("button", { name: "Decline" }).click();
  await second.waitFor({ state: "detached" });
  await page.reload();
  await expect(card(guest).getByText("Declined"), "that an invitation was declined");
}

async function useKeys() {
  await tab("API keys");
  await page.getByLabel("Name of the key").fill(HOSTILE);
  await page.getByText("Choose what the key can do").click();
  await page.getByLabel("memories:write").uncheck();
  await glance("key-form");
  await button("Create key").click();
  const first = await page.locator(".secret code").textContent();
  await expect(card("memories:read"), "what the key can do");
  await button(/^Rotate/).click();
  await page.getByLabel("The old secret works for").selectOption("one more hour");
  await glance("rotate-key");
  await inDialog("Rotate").click();
  await page.waitForFunction((old) => document.querySelector(".secret code")?.textContent !== old, first);
  await expect(page.getByText(/^The old secret of .* works until /), "until when the old secret works");
  await look("keys");
  for (const key of [first, await page.locator(".secret code").textContent()]) {
    const answer = await page.request.get(`${url}/v1/stats/`, { headers: { Authorization: `Token ${key}` } });
    if (!answer.ok()) problems.push("a secret does not work during the overlap");
  }
  await read();
  await button(/^Revoke/).press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await expectThat(() => document.activeElement?.textContent === "Revoke", "the focus does not return from a dialog");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await inDialog("Revoke").press("Enter");
  await expect(page.getByText("There is no key. Create one above."), "no key after the revocation");
  if (!(await page.locator("pre").first().textContent()).includes("ks_…")) problems.push("the lines show a revoked key");
}

try {
  await page.goto(`${url}/#developers/webhooks`);
  await signIn(anna, email, "Sign in");
  await expect(page.getByText("No webhook yet."), "the view of the address after signing in");
  for (const use of [useWebhooks, useEvents, useProject, useRetention, useMembers, useKeys]) await use();
  if (await page.evaluate(() => window.hacked)) problems.push("text was run as a script");
} catch (error) {
  await anna.stop(error);
}
await report();
