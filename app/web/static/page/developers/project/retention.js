/** What is archived and deleted by itself: the rules with a preview, their runs, and the users whose data must be kept. */

import { call, listAll } from "../../api.js";
import { announce, ask, button, fill, form, h, time } from "../../elements.js";
import { texts } from "../../texts.js";
import { actionRow, Loaded, showNew } from "../loaded.js";
import { holds } from "./holds.js";
import { newRule, RuleFields } from "./rule_fields.js";

const words = texts.developers.retention;

/**
 * @typedef {{id: string, state: "queued" | "running" | "finished" | "failed", cause: "schedule" | "request", archived: number, deleted: number,
 *   held: number, error: string | null, created_at: string}} Run
 */
/** @typedef {{rules: Array<{name: string, archive: number, delete: number, held: number, samples: Array<{memory: string}> | null}>}} Preview */

/** @param {import("../developers.js").Project} project */
export async function show(project) {
  const isOwner = project.role === "OWNER";
  /** @type {Loaded} */
  const runs = new Loaded(() => readRuns(runs));
  const policy = new Loaded(async () => new Policy((await call("GET", "/v1/admin/retention")).rules, isOwner).element);
  const held = holds(isOwner);
  await Promise.all([policy.reload(), runs.reload(), held.list.reload()]);
  return [
    h("section", {}, h("h2", {}, words.title), h("p", {}, words.intro), policy.element),
    h("section", {}, h("h2", {}, words.runs), isOwner && actionRow(words.runs, [[words.runNow, () => runNow(runs)]]), runs.element),
    held.element,
  ];
}

class Policy {
  /** @param {any[]} rules @param {boolean} isOwner */
  constructor(rules, isOwner) {
    this.rules = rules.map((each) => new RuleFields(each, isOwner));
    this.place = h("div", {});
    this.preview = h("div", { role: "status" });
    this.save = h("button", { class: "primary" }, words.save);
    const actions = h("div", { class: "actions" }, button(words.addRule, () => this.add()), this.previewButton(), this.save);
    this.element = form([this.place, isOwner && actions, this.preview], () => this.store());
    this.arrange();
  }

  previewButton() {
    return button(words.preview, async () => {
      if (!(/** @type {HTMLFormElement} */ (this.element).reportValidity())) return;
      try {
        fill(this.preview, previewBox(await call("POST", "/v1/admin/retention/run", { dry_run: true, policy: { rules: this.values() } })));
      } catch (error) {
        fill(this.preview, h("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : String(error)));
      }
      showNew(this.preview);
    });
  }

  values() {
    return this.rules.map((each) => each.value());
  }

  add() {
    const added = new RuleFields(newRule(this.rules.length + 1), true);
    this.rules.push(added);
    this.arrange();
    added.element.querySelector("input")?.focus();
  }

  arrange() {
    const removable = (/** @type {RuleFields} */ rule) => () => {
      this.rules = this.rules.filter((each) => each !== rule);
      this.arrange();
      /** @type {HTMLElement | null} */ (this.element.querySelector(".actions button"))?.focus();
    };
    for (const each of this.rules) each.onRemove = removable(each);
    fill(this.place, this.rules.length ? this.rules.map((each) => each.element) : h("p", { class: "empty" }, words.none));
    fill(this.preview);
  }

  async store() {
    await call("PUT", "/v1/admin/retention", { rules: this.values() });
    fill(this.preview);
    announce(words.saved);
  }
}

/** @param {Preview} preview */
function previewBox({ rules }) {
  const parts = rules.map((rule) =>
    h(
      "div",
      {},
      h("h4", {}, rule.name),
      h("p", {}, rule.archive + rule.delete + rule.held ? words.would(rule.archive, rule.delete, rule.held) : words.nothingYet),
      rule.samples && rule.samples.length > 0 && [h("p", { class: "hint" }, words.samples), h("ul", { class: "results" }, rule.samples.map((each) => h("li", {}, each.memory)))],
    ),
  );
  return h("div", { class: "box" }, h("h3", {}, words.previewTitle), h("p", { class: "hint" }, words.previewHint), rules.length ? parts : h("p", {}, words.none));
}

/** @param {Loaded} runs */
async function runNow(runs) {
  if (!(await ask({ title: words.runTitle, body: words.runBody, agree: words.runNow, cancel: texts.cancel, danger: true }))) return;
  await call("POST", "/v1/admin/retention/run", {});
  announce(words.started);
  await runs.refresh();
}

/** @param {Loaded} view */
async function readRuns(view) {
  const runs = /** @type {Run[]} */ (await listAll("/v1/admin/retention/runs?limit=100"));
  if (runs.some((each) => each.state === "queued" || each.state === "running")) view.lookAgain();
  if (!runs.length) return h("p", { class: "empty" }, words.noRun);
  const items = runs.map((run) =>
    h(
      "li",
      { class: "card" },
      h("p", {}, h("span", { class: `tag state ${run.state}` }, words.states[run.state]), " ", time(run.created_at), ", ", words.causes[run.cause]),
      h("p", {}, words.did(run.archived, run.deleted, run.held)),
      run.error && h("p", { class: "problem" }, run.error),
    ),
  );
  return h("ul", { class: "cards" }, items.slice(0, 20));
}
