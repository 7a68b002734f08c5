// Uses the page with the keyboard alone: Tab, Enter, Space, arrows and typing, never the mouse and never focus() from outside.
import { newPerson, problems, report, url } from "./person.mjs";

const MAX_TABS = 150;
const { page, look, expectThat, stop } = await newPerson();

const press = (key) => page.keyboard.press(key);
const type = (text) => page.keyboard.type(text);

/** Goes to an element as a person does, from where the focus is, and looks whether the focus can be seen there. */
async function tabTo(locator, what, key = "Tab") {
  await locator.first().waitFor();
  const target = await locator.first().elementHandle();
  for (let steps = 0; steps < MAX_TABS; steps += 1) {
    await press(key);
    if (!(await target.evaluate((element) => element === document.activeElement))) continue;
    const seen = await target.evaluate((element) => {
      const style = getComputedStyle(element);
      const { top, bottom } = element.getBoundingClientRect();
      return { outlined: style.outlineStyle !== "none" && style.outlineWidth !== "0px", visible: bottom > 0 && top < innerHeight };
    });
    if (!seen.outlined) problems.push(`the focus cannot be seen: ${what}`);
    if (!seen.visible) problems.push(`the focus is outside of the window: ${what}`);
    return;
  }
  throw new Error(`the keyboard does not reach: ${what}`);
}
const named = (role, name) => page.getByRole(role, { name, exact: typeof name === "string" });
async function activate(role, name) {
  await tabTo(named(role, name), `${role} ${name}`);
  await press("Enter");
}
async function write(label, text) {
  await tabTo(page.getByLabel(label, { exact: true }), label);
  await press("Control+a");
  await type(text);
}
async function open(name) {
  await tabTo(page.getByRole("navigation").getByRole("link", { name }), `link ${name}`, "Shift+Tab");
  await press("Enter");
  await page.locator(`nav a[aria-current=page]`, { hasText: name }).waitFor();
}
const answered = () => page.locator("keepsake-chat .message.assistant:not([aria-busy])");
async function say(text) {
  const before = await answered().count();
  await write("Message", text);
  await press("Enter");
  await page.waitForFunction((n) => document.querySelectorAll("keepsake-chat .message.assistant:not([aria-busy])").length > n, before);
}
/** The focus must never be lost on the way: then a person starts again at the top. */
async function expectFocus(what) {
  await expectThat(() => document.activeElement !== document.body, `the focus is lost after: ${what}`);
}

/** Goes to a part of the view for developers, by the links above it. */
async function openTab(name) {
  await tabTo(page.getByRole("navigation", { name: "Developers" }).getByRole("link", { name, exact: true }), `tab ${name}`, "Shift+Tab");
  await press("Enter");
  await page.getByRole("navigation", { name: "Developers" }).locator("a[aria-current=page]", { hasText: name }).waitFor();
  await page.waitForFunction(() => !document.querySelector("keepsake-developers [aria-busy]"));
  await expectFocus(`opening ${name}`);
}
/** Chooses an option as a person does, by typing the beginning of its name. */
async function pick(label, option) {
  await tabTo(page.getByRole("combobox", { name: label, exact: true }), label);
  await type(option);
  await expectFocus(`choosing ${option}`);
}

async function usesFilters() {
  await tabTo(page.getByText("Filters", { exact: true }), "the filters");
  await press("Enter");
  await pick("Kind", "Facts");
  await page.getByText("No memory matches.").waitFor();
  await press("Home");
  await page.locator("li.card", { hasText: "Oslo" }).waitFor();
  await pick("State", "Archived");
  await page.locator("li.card.archived", { hasText: "vegetarian" }).waitFor();
  await activate("button", /^Restore: I am vegetarian/);
  await page.getByText("No memory matches.").waitFor();
  await expectFocus("restoring a memory");
  await tabTo(named("button", "Show all"), "all memories", "Shift+Tab");
  await press("Enter");
  await page.locator("li.card", { hasText: "vegetarian" }).waitFor();
  await expectFocus("clearing the filters");
}

async function moves() {
  await activate("button", /^Move: I am vegetarian/);
  await page.waitForFunction(() => document.activeElement?.tagName === "SELECT" && document.activeElement.closest(".mover"));
  await activate("button", "Move it");
  await page.locator("li.card", { hasText: "vegetarian" }).waitFor({ state: "detached" });
  await expectFocus("moving a memory");
}

async function usesWebhooks() {
  await openTab("Webhooks");
  await tabTo(page.getByText("Add a webhook"), "a new webhook");
  await press("Enter");
  await write("Name of the webhook", "Mine");
  await write("Address of your receiver", "https://example.com/keepsake");
  await activate("button", "Create webhook");
  await page.locator(".secret code").waitFor();
  await expectFocus("creating a webhook");
  await activate("button", "Edit: Mine");
  await expectFocus("editing a webhook");
  await activate("button", "Cancel");
  await expectFocus("not editing a webhook");
  await activate("button", "Pause: Mine");
  await page.getByRole("button", { name: "Resume: Mine" }).waitFor();
  await expectFocus("pausing a webhook");
  await look("keyboard-webhooks");
}

async function usesMembers() {
  await openTab("Members");
  await tabTo(page.getByLabel("E-mail address"), "the address of a guest");
  await type("guest@example.com");
  await press("Enter");
  await named("button", "Withdraw: guest@example.com").waitFor();
  await expectFocus("inviting");
  await activate("button", "Withdraw: guest@example.com");
  await named("button", "Withdraw: guest@example.com").waitFor({ state: "detached" });
  await expectFocus("withdrawing an invitation");
  await look("keyboard-members");
}

async function triesRetention() {
  await openTab("Retention");
  await activate("button", "Add a rule");
  await expectFocus("adding a rule");
  await tabTo(page.getByLabel("Older than (days)"), "an age");
  await type("30");
  await activate("button", "Preview");
  await page.getByText("Nothing was changed or saved.").waitFor();
  await expectFocus("a preview");
  await look("keyboard-retention");
  await tabTo(named("button", /^Remove rule/), "removing a rule", "Shift+Tab");
  await press("Enter");
  await page.getByText("No rule. Everything is kept.").waitFor();
  await expectFocus("removing a rule");
}

async function readsPlots() {
  await open("Operations");
  const plot = page.locator(".plot", { hasText: "Requests" }).first();
  for (let tries = 0; tries < 40 && !(await plot.locator("summary").count()); tries += 1) {
    await page.waitForTimeout(500);
    await activate("button", /^Refresh/);
    await expectFocus("refreshing");
  }
  await tabTo(plot.getByText("Show as a table"), "the table of a plot");
  await press("Enter");
  await plot.locator("table td").first().waitFor();
  await expectFocus("showing a table");
  await pick("Action", "API key created");
  await page.waitForFunction(() => document.querySelectorAll(".audit li").length === 1);
  await expectFocus("filtering the audit log");
  await look("keyboard-operations");
}

try {
  await page.goto(url);
  await named("heading", "Sign in").waitFor();
  await activate("button", "Create an account");
  await expectFocus("a step of signing in");
  await press("Control+a");
  await type(`keys-${Date.now()}@example.com`);
  await write("Password (at least 8 characters)", "correct horse battery");
  await press("Enter");

  await named("heading", "Your first memory").waitFor();
  await activate("button", /^Connect an application/);
  await expectFocus("choosing to connect an application");
  await activate("button", "Make a key");
  await page.locator(".secret code").waitFor();
  await expectFocus("making a key");
  await activate("button", /^Try it/);
  await page.getByText("It arrived:").waitFor();

  await open("Chat");
  await say("I live in Rome and I play the cello.");
  await expectFocus("an answer");

  await open("Memories");
  await activate("button", /^Edit: I live in Rome/);
  await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
  await press("Control+a");
  await type("I live in Oslo and I play the cello.");
  await activate("button", "Save");
  await page.locator("li.card", { hasText: "Oslo" }).waitFor();
  await expectFocus("saving a memory");
  await activate("button", /^History: I live in/);
  await page.locator(".history li").first().waitFor();
  await activate("button", /^Archive: I am vegetarian/);
  await page.locator("li.card", { hasText: "vegetarian" }).waitFor({ state: "detached" });
  await expectFocus("archiving a memory");

  await open("Profiles");
  await write("Name", "Work");
  await press("Enter");
  const work = page.locator("li.card", { hasText: "Work" });
  await work.waitFor();
  await open("Memories");
  await usesFilters();
  await moves();
  await open("Profiles");
  await open("Memories");
  await tabTo(page.getByRole("combobox", { name: "Profile", exact: true }), "the profile", "Tab");
  await press("ArrowUp");
  await page.locator("li.card", { hasText: "Oslo" }).waitFor({ state: "detached" });
  await page.locator("li.card", { hasText: "vegetarian" }).waitFor();
  await press("ArrowDown");
  await page.locator("li.card", { hasText: "Oslo" }).waitFor();
  const count = await page.locator("li.card").count();

  await open("Chat");
  await tabTo(page.getByRole("radio", { name: "Normal" }), "the privacy modes");
  await press("ArrowRight");
  await press("ArrowRight");
  await page.locator("html[data-mode=incognito]").waitFor();
  await say("My secret is a purple zeppelin.");
  await open("Memories");
  await page.locator("li.card").first().waitFor();
  if ((await page.locator("li.card").count()) !== count) problems.push("incognito changed the memories");

  await open("Chat");
  await say("Forget everything you know about me.");
  await activate("button", "Delete all …");
  await page.getByRole("dialog").waitFor();
  await press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await expectFocus("not deleting everything");
  await activate("button", "Keep all");
  await expectFocus("keeping all");
  await say("Forget that I play the cello.");
  await tabTo(page.getByLabel(/^Also delete the .*message/), "the messages to forget");
  await press("Space");
  await activate("button", /^Delete \d/);
  await page.getByText(/^Deleted \d .*So w(as|ere) \d/).waitFor();
  await expectFocus("forgetting");

  await open("Developers");
  await tabTo(page.getByRole("button", { name: /^Revoke: First key/ }), "revoke");
  await press("Enter");
  await page.getByRole("dialog").waitFor();
  await press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await expectFocus("closing a question");
  await press("Enter");
  await page.getByRole("dialog").waitFor();
  await tabTo(page.getByRole("dialog").getByRole("button", { name: "Revoke" }), "the answer of a dialog");
  await press("Enter");
  await named("button", /^Revoke: First key/).waitFor({ state: "detached" });
  await expectFocus("revoking a key");

  await usesWebhooks();
  await usesMembers();
  await triesRetention();
  await readsPlots();

  await open("Account");
  await activate("button", "Export my data");
  await page.getByText("Your export was downloaded.").waitFor();
  await activate("button", "Erase everything about me");
  await tabTo(page.getByRole("dialog").getByRole("button", { name: "Erase", exact: true }), "erase");
  await press("Enter");
  await page.getByText("Nothing is left.").waitFor();
  await activate("button", "Sign out");
  await named("heading", "Sign in").waitFor();
  await expectFocus("signing out");
} catch (error) {
  await stop(error);
}
await report();
