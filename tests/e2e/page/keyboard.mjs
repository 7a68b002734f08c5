// Uses the page with the keyboard alone: Tab, Enter, Space, arrows and typing, never the mouse and never focus() from outside.
import { newPerson, problems, report, url } from "./person.mjs";

const MAX_TABS = 150;
const { page, stop } = await newPerson();

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
  if (await page.evaluate(() => document.activeElement === document.body)) problems.push(`the focus is lost after: ${what}`);
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
  await tabTo(page.getByLabel("Profile"), "the profile", "Tab");
  await press("ArrowUp");
  await page.getByText("Nothing is remembered in this profile yet.").waitFor();
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
  await say("Forget that I play the cello.");
  await activate("button", /^Delete \d/);
  await page.waitForFunction(() => document.querySelectorAll("keepsake-chat .message.assistant:not([aria-busy])").length >= 2);
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
