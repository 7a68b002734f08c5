/** The fields of one retention rule. */

import { button, field, fill, h } from "../../elements.js";
import { texts } from "../../texts.js";
import { choice } from "../fields.js";

const words = texts.developers.retention;

/**
 * @typedef {{name: string, kinds?: string[] | null, roles?: string[] | null, older_than_days?: number | null, unused_for_days?: number | null,
 *   importance_below?: number | null, max_memories?: number | null, per?: "project" | "user", delete_after_days?: number | null}} Rule
 */

/** @param {number} number @returns {Rule} */
export function newRule(number) {
  return { name: words.ruleName(number), older_than_days: 365 };
}

export class RuleFields {
  /** @param {Rule} rule @param {boolean} isOwner */
  constructor(rule, isOwner) {
    this.rule = rule;
    this.onRemove = () => {};
    const disabled = { disabled: !isOwner };
    this.name = field(words.name, { required: true, maxlength: 100, value: rule.name, ...disabled });
    this.kind = choice(words.kind, words.kinds, { value: rule.kinds?.length === 1 ? rule.kinds[0] : rule.kinds ? "given" : "", ...disabled });
    if (rule.kinds && rule.kinds.length > 1) this.kind.input.append(h("option", { value: "given", selected: true }, rule.kinds.join(", ")));
    this.way = choice(words.way, words.ways, { value: rule.max_memories === null || rule.max_memories === undefined ? "conditions" : "cap", ...disabled });
    this.older = number(words.olderThan, rule.older_than_days, disabled);
    this.unused = number(words.unusedFor, rule.unused_for_days, disabled);
    this.importance = number(words.importanceBelow, rule.importance_below, { ...disabled, min: 0.01, max: 1, step: 0.01 });
    this.cap = number(words.cap, rule.max_memories, { ...disabled, min: 0, max: 1_000_000_000 });
    this.per = choice(words.per, words.pers, { value: rule.per ?? "project", ...disabled });
    this.deletion = number(words.deleteAfter, rule.delete_after_days, disabled, words.deleteAfterHint);
    this.conditions = h("div", { class: "row" });
    this.way.input.addEventListener("change", () => this.arrange());
    const remove = button(words.removeRule, () => this.onRemove(), { class: "small" });
    const rows = [h("div", { class: "row" }, this.name.row, this.kind.row, this.way.row), this.conditions, this.deletion.row];
    this.element = h("fieldset", { class: "box rule" }, h("legend", {}, words.rule), rows, isOwner && h("div", { class: "actions" }, remove));
    this.arrange();
  }

  get isCap() {
    return this.way.input.value === "cap";
  }

  arrange() {
    const shown = this.isCap ? [this.cap, this.per] : [this.older, this.unused, this.importance];
    fill(this.conditions, shown.map((each) => each.row));
  }

  /** @returns {Rule} */
  value() {
    const { name, kind, older, unused, importance, cap, per, deletion } = this;
    const kinds = kind.input.value === "given" ? this.rule.kinds : kind.input.value ? [kind.input.value] : null;
    const conditions = this.isCap
      ? { max_memories: cap.input.value === "" ? null : Number(cap.input.value), per: /** @type {"project" | "user"} */ (per.input.value) }
      : { older_than_days: count(older), unused_for_days: count(unused), importance_below: count(importance) };
    return { name: name.input.value, kinds, roles: this.rule.roles ?? null, ...conditions, delete_after_days: count(deletion) };
  }
}

/** @param {string} label @param {number | null | undefined} value @param {Record<string, unknown>} more @param {string} [hint] */
function number(label, value, more, hint) {
  return field(label, { type: "number", min: 1, max: 36_500, value: value ?? "", ...more }, { hint });
}

/** @param {{input: HTMLInputElement}} of */
function count(of) {
  return Number(of.input.value) || null;
}
