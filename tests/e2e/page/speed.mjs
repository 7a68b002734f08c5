// Measures how long the page takes until it can be used, each time with a cold cache: `node speed.mjs URL CHROMIUM RUNS`.
import { chromium } from "playwright-core";

const [url, browserPath, runs = "7"] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });

/** A new context has an empty cache. @param {string} selector of what a person uses first */
async function open(selector, storageState) {
  const context = await browser.newContext({ storageState });
  const page = await context.newPage();
  await page.addInitScript((wanted) => {
    const look = () => {
      const element = document.querySelector(wanted);
      if (!element || element.getBoundingClientRect().height === 0) return requestAnimationFrame(look);
      // After the next frame, what was begun before has been drawn, and the main thread takes input.
      requestAnimationFrame(() => setTimeout(() => (window.interactiveAt = performance.now())));
    };
    requestAnimationFrame(look);
  }, selector);
  await page.goto(url);
  const milliseconds = await (await page.waitForFunction(() => window.interactiveAt)).jsonValue();
  const files = await page.evaluate(() => performance.getEntriesByType("resource").filter((each) => each.name.includes("/page/")).map((each) => each.transferSize));
  if (!files.length || files.some((each) => each === 0)) throw new Error("a file came from the cache");
  return { context, page, milliseconds };
}

async function signUp() {
  const { context, page } = await open("keepsake-sign-in input");
  await page.getByRole("button", { name: "Create an account" }).click();
  await page.getByLabel("E-mail address").fill(`speed-${Date.now()}@example.com`);
  await page.getByLabel("Password (at least 8 characters)").fill("correct horse battery");
  await page.getByLabel("Stay signed in on this browser").check();
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("navigation").waitFor();
  return leave(context);
}

async function leave(context) {
  const state = await context.storageState();
  await context.close();
  return state;
}

const found = { sign_in: [], chat: [] };
let state = await signUp();
for (let run = 0; run < Number(runs); run += 1) {
  const anonymous = await open("keepsake-sign-in input");
  found.sign_in.push(anonymous.milliseconds);
  await anonymous.context.close();
  const signedIn = await open("keepsake-chat textarea", state);
  found.chat.push(signedIn.milliseconds);
  state = await leave(signedIn.context);
}
await browser.close();
console.log(JSON.stringify(found));
