/** What the project and its keys used, day by day. */

import { call } from "../api.js";
import { failure, fill, h } from "../elements.js";
import { Latest } from "../latest.js";
import { texts } from "../texts.js";
import { plotFigure, tableOf, valueText } from "./plot.js";

const words = texts.operations;
const DAY_MS = 86_400_000;
const PERIODS = [7, 30, 90];
/** @type {Array<"p50" | "p95" | "p99">} */
const PERCENTILES = ["p50", "p95", "p99"];

/**
 * @typedef {{requests: number, throttled: number, memories: number, jobs: number, jobs_failed: number, prompt_tokens: number,
 *   completion_tokens: number, cost: number, latency: {p50: number, p95: number, p99: number} | null}} Counted
 * @typedef {Counted & {day: string}} CountedDay
 * @typedef {CountedDay & {key_id: string | null, key_name: string | null}} CountedKey
 * @typedef {{since: string, until: string, total: Counted, days: CountedDay[], results: CountedKey[]}} Usage
 */

export class UsageSection {
  constructor() {
    this.latest = new Latest();
    this.period = 30;
    this.key = "";
    /** @type {Usage | null} */
    this.usage = null;
    this.place = h("div", { role: "status" }, h("p", {}, texts.loading));
    this.keys = /** @type {HTMLSelectElement} */ (h("select", { onchange: () => this.chooseKey() }, h("option", { value: "" }, words.allKeys)));
    this.element = h(
      "section",
      { "aria-labelledby": "usage-title" },
      h("h2", { id: "usage-title" }, words.usage),
      h("div", { class: "row filters" }, this.periodChoice(), h("label", { class: "inline" }, words.key, this.keys)),
      this.place,
    );
  }

  periodChoice() {
    const options = PERIODS.map((each) => h("option", { value: each, selected: each === this.period }, words.lastDays(each)));
    const select = /** @type {HTMLSelectElement} */ (h("select", {}, options));
    select.addEventListener("change", () => {
      this.period = Number(select.value);
      void this.load();
    });
    return h("label", { class: "inline" }, words.period, select);
  }

  async load() {
    const since = new Date(Date.now() - (this.period - 1) * DAY_MS).toISOString().slice(0, 10);
    await this.latest.run(
      () => call("GET", `/v1/admin/usage?since=${since}`),
      (usage) => this.show(usage),
      (error) => fill(this.place, failure(error, () => this.load())),
    );
  }

  /** @param {Usage} usage */
  show(usage) {
    this.usage = usage;
    const names = new Map(usage.results.map((each) => [each.key_id ?? "none", each.key_name ?? words.withoutKey]));
    if (!names.has(this.key)) this.key = "";
    const options = [["", words.allKeys], ...names].map(([value, label]) => h("option", { value, selected: value === this.key }, label));
    fill(this.keys, ...options);
    this.showPlots();
  }

  chooseKey() {
    this.key = this.keys.value;
    this.showPlots();
  }

  showPlots() {
    const usage = /** @type {Usage} */ (this.usage);
    const counted = this.key ? usage.results.filter((each) => (each.key_id ?? "none") === this.key) : usage.days;
    if (!counted.length) return fill(this.place, h("p", { class: "empty" }, words.noRequests));
    fill(this.place, h("div", { class: "plots" }, plotsOf(usage, counted).map(plotFigure)), !this.key && keyTable(usage), h("p", { class: "hint" }, words.usageHint));
  }
}

/** @param {Usage} usage @param {CountedDay[]} counted */
function plotsOf(usage, counted) {
  const days = daysBetween(usage.since, usage.until);
  const known = new Map(counted.map((each) => [each.day, each]));
  /** @param {(day: Counted) => number} read */
  const values = (read) => days.map((day) => (known.has(day) ? read(/** @type {Counted} */ (known.get(day))) : 0));
  /** @param {(day: Counted) => number} read */
  const total = (read) => counted.reduce((sum, each) => sum + read(each), 0);
  const latency = PERCENTILES.map((name) => ({ name, values: days.map((day) => known.get(day)?.latency?.[name] ?? null) }));
  const cost = total((each) => each.cost);
  const tokens = total((each) => each.prompt_tokens + each.completion_tokens);
  return [
    { title: words.requests, days, series: [{ name: words.requests, values: values((each) => each.requests) }], summary: words.total(valueText(total((each) => each.requests))) },
    { title: words.latency, days, unit: words.milliseconds, lines: true, series: latency, summary: words.latencyHint },
    {
      title: words.tokens,
      days,
      series: [{ name: words.promptTokens, values: values((each) => each.prompt_tokens) }, { name: words.completionTokens, values: values((each) => each.completion_tokens) }],
      summary: cost ? words.totalAndCost(valueText(tokens), cost.toFixed(2)) : words.total(valueText(tokens)),
    },
    { title: words.memories, days, series: [{ name: words.memories, values: values((each) => each.memories) }], summary: words.total(valueText(total((each) => each.memories))) },
    {
      title: words.jobs,
      days,
      series: [{ name: words.jobsDone, values: values((each) => each.jobs - each.jobs_failed) }, { name: words.jobsFailed, values: values((each) => each.jobs_failed) }],
      summary: words.total(valueText(total((each) => each.jobs))),
    },
    { title: words.throttled, days, series: [{ name: words.throttled, values: values((each) => each.throttled) }], summary: words.total(valueText(total((each) => each.throttled))) },
  ];
}

/** @param {Usage} usage */
function keyTable(usage) {
  /** @type {Map<string, CountedKey[]>} */
  const byKey = new Map();
  for (const each of usage.results) byKey.set(each.key_id ?? "", [...(byKey.get(each.key_id ?? "") ?? []), each]);
  const rows = [...byKey.values()].map((days) => {
    /** @param {(day: Counted) => number} read */
    const total = (read) => valueText(days.reduce((sum, each) => sum + read(each), 0));
    return [days[0].key_name ?? words.withoutKey, total((each) => each.requests), total((each) => each.throttled), total((each) => each.memories), total((each) => each.prompt_tokens + each.completion_tokens)];
  });
  const head = [words.key, words.requests, words.throttled, words.memories, words.tokens];
  return h("div", { class: "box scroll", tabindex: 0, role: "region", "aria-label": words.byKey }, tableOf(head, rows, words.byKey));
}

/** @param {string} since @param {string} until @returns {string[]} every day of the period */
function daysBetween(since, until) {
  const days = [];
  for (let at = Date.parse(since); at <= Date.parse(until); at += DAY_MS) days.push(new Date(at).toISOString().slice(0, 10));
  return days;
}
