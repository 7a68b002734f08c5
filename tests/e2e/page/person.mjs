// A browser for the scripts that use the page as a person would. What goes wrong is reported as JSON on the last line.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

export const HOSTILE = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`;
export const PASSWORD = "correct horse battery";
const AXE = readFileSync(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
/** How long a script waits for what must happen. Only a script that fails waits so long, on the slowest machine. */
const PATIENCE = 60_000;
const RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];

const [url, browserPath, folder = "", width = "1280", scheme = "light", ...more] = process.argv.slice(2);
const problems = [];
const violations = [];
const browser = await chromium.launch({
  executablePath: browserPath,
  timeout: 3 * PATIENCE,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** The long version looks at all states and takes all ways. */
const thorough = Boolean(folder) || width !== "1280";

export { folder, more, problems, scheme, thorough, url, width };

/** A person of their own: nothing of this browser's storage is shared with another person. */
export async function newPerson() {
  const context = await browser.newContext({
    viewport: { width: Number(width), height: 800 },
    colorScheme: scheme,
    reducedMotion: "reduce",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  /** Console errors that a step provokes, such as a request without a connection. */
  const provoked = [];
  page.on("console", (message) => message.type() === "error" && !provoked.some((each) => each.test(message.text())) && problems.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`uncaught: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) problems.push(`other host: ${request.url()}`);
  });
  return { context, page, provoked, ...actions(context, page) };
}

function actions(context, page) {
  return {
    /** Examines the page with axe, and takes a screenshot if a folder is given. */
    async look(name) {
      // A view whose module is still being loaded has no heading yet.
      await page.locator("h1").first().waitFor({ state: "attached" });
      // axe runs in a world of its own, where the policy of the page does not apply.
      const session = await context.newCDPSession(page);
      const { frameTree } = await session.send("Page.getFrameTree");
      const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
      await session.send("Runtime.evaluate", { expression: AXE, contextId: executionContextId });
      const run = `axe.run(document, {runOnly: ${JSON.stringify(RULES)}, resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html.slice(0, 120) + " " + (n.any[0]?.message ?? n.failureSummary)).join(" | "))))`;
      const { result } = await session.send("Runtime.evaluate", { expression: run, contextId: executionContextId, awaitPromise: true });
      violations.push(...JSON.parse(result.value).map((each) => `${name}: ${each}`));
      await session.detach();
      const tooWide = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll("dialog")].some((each) => each.scrollWidth > each.clientWidth));
      if (tooWide) problems.push(`wider than its window: ${name}`);
      if (folder) await page.screenshot({ path: `${folder}/${name}-${width}-${scheme}.png` });
    },
    /** The same for a state of a view, in the thorough version only, because each look takes a while. */
    async glance(name) {
      if (thorough) await this.look(name);
    },
    /** Everything that the page stored in this browser. */
    stored: () => page.evaluate(async () => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, await indexedDB.databases(), await caches.keys()])),
    go: (name) => page.getByRole("navigation").getByRole("link", { name }).click(),
    expect: async (locator, what) => locator.first().waitFor().catch(() => problems.push(`missing: ${what}`)),
    /** The same for what must be true in the page. The browser moves the focus a moment after what causes it. */
    expectThat: async (isTrue, what) => page.waitForFunction(isTrue).catch(() => problems.push(what)),
    /** In a narrow window, the profile and the privacy are one line until it is opened. */
    async openChatControls() {
      await page.locator(".bar").waitFor();
      if (!(await page.locator(".bar-controls").isVisible())) await page.locator(".bar-chosen").click();
    },
    /** Records what stopped the script. */
    async stop(error) {
      problems.push(`stopped: ${error.message}`);
      if (folder) await page.screenshot({ path: `${folder}/stopped-${width}-${scheme}.png` });
    },
  };
}

/** For a response that the script holds back while it waits for something else, with its own time limit. */
export const LATE = { timeout: 3 * PATIENCE };

/** Something that a route waits for until the script opens it. */
export function gate() {
  let open = () => {};
  const opened = new Promise((resolve) => (open = () => resolve(undefined)));
  return { open, opened };
}

/** Waits until a response has arrived in the page, and what it leads to is drawn. */
export async function arrival(page, response) {
  await (await response).finished();
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
}

/** Does something again and again until it leads to what is waited for, because jobs run at some time. */
export async function until(isMet, act) {
  for (const end = Date.now() + PATIENCE; !(await isMet()) && Date.now() < end; ) await act();
}

/** Closes the browser and prints what went wrong. */
export async function report() {
  await browser.close();
  console.log(JSON.stringify({ problems, violations }));
}

/** The six digits of an authenticator app. `later` periods of 30 seconds from now: each code is accepted once. */
export function oneTimeCode(secret, later = 0) {
  const bits = [...secret.replace(/=/g, "")].map((each) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(each).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((each) => Number.parseInt(each, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
  const digest = createHmac("sha1", key).update(counter).digest();
  return String((digest.readUInt32BE(digest[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}
