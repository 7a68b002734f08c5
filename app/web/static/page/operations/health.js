/** The state of each dependency and of each background task. */

import { call } from "../api.js";
import { button, dateText, failure, fill, h } from "../elements.js";
import { Latest } from "../latest.js";
import { texts } from "../texts.js";
import { tableOf } from "./plot.js";

const words = texts.operations;

/** @typedef {{status: string, version: string, checks: Record<string, string>, tasks: Record<string, {state: string, silent_seconds: number, restarts: number}>}} Health */

export class HealthSection {
  constructor() {
    this.latest = new Latest();
    this.place = h("div", { role: "status" }, h("p", {}, texts.loading));
    this.element = h("section", { "aria-labelledby": "health-title" }, h("h2", { id: "health-title" }, words.health), this.place);
  }

  async load() {
    await this.latest.run(
      () => call("GET", "/v1/admin/health"),
      (health) => fill(this.place, ...this.report(health)),
      (error) => fill(this.place, failure(error, () => this.load())),
    );
  }

  /** @param {Health} health */
  report(health) {
    const state = words.states[/** @type {"ready"} */ (health.status)] ?? health.status;
    const isReady = health.status === "ready";
    return [
      h("p", { class: isReady ? "state ok" : "state away" }, h("strong", {}, state)),
      h("ul", { class: "checks" }, Object.entries(health.checks).map(([name, value]) => check(name, value))),
      taskDetails(health.tasks),
      h("p", { class: "hint" }, words.healthAt(dateText(new Date().toISOString()), health.version), " ", button(words.refresh, () => this.load(), { class: "small" })),
    ];
  }
}

/** @param {string} name @param {string} value */
function check(name, value) {
  const label = words.checks[/** @type {"database"} */ (name)] ?? name.replaceAll("_", " ");
  return h("li", { class: value === "ok" ? "ok" : "away" }, h("span", {}, label), h("span", {}, value === "ok" ? words.ok : words.unavailable));
}

/** @param {Health["tasks"]} tasks */
function taskDetails(tasks) {
  const entries = Object.entries(tasks);
  const running = entries.filter(([, each]) => each.state === "running").length;
  const rows = entries.map(([name, each]) => [name.replaceAll("_", " "), each.state, words.secondsAgo(each.silent_seconds), String(each.restarts)]);
  const body = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": words.tasks }, tableOf([words.task, words.state, words.lastSign, words.restarts], rows));
  return h("details", {}, h("summary", {}, words.tasksRunning(running, entries.length)), body);
}
