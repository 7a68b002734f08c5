/** The question what to forget: the memories that match, with their copies, and the messages that contain them. */

import { ask, button, fill, h } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.chat.forgetting;

/** @typedef {import("./chat_turn.js").Confirmation} Confirmation */
/** @typedef {(confirmation: Confirmation) => unknown} Confirm */
/**
 * @typedef {{memories: Array<{id: string, memory: string}>, groups: Array<{memory: string, ids: string[]}>, count: number, messages: number,
 *   all: "everything" | "today" | null}} ForgetQuestion
 */

/** @param {ForgetQuestion} question @param {Confirm} confirm */
export function forgetQuestion(question, confirm) {
  return question.all ? wholeQuestion(question, question.all, confirm) : groupQuestion(question, confirm);
}

/** @param {ForgetQuestion} question @param {Confirm} confirm */
function groupQuestion({ memories, groups, count, messages }, confirm) {
  const known = new Map(memories.map((each) => [each.id, each.memory]));
  // One confirmation takes the listed memories only. A group can have more.
  const choices = groups.map((each) => groupChoice(each.memory, each.ids.filter((id) => known.has(id)), known)).filter((each) => each.ids.length);
  const isMore = groups.flatMap((each) => each.ids).length > count;
  const withMessages = messages > 0 && messagesChoice(words.messages(messages), words.messagesHint);
  const agree = button("", () => end(() => confirm({ confirm_forget: picked(), forget_messages: isChecked(withMessages) })), { class: "danger" });
  const picked = () => choices.filter((each) => each.box.checked).flatMap((each) => each.ids);
  const update = () => {
    fill(agree, words.some(picked().length));
    agree.toggleAttribute("disabled", picked().length === 0);
  };
  for (const each of choices) each.box.addEventListener("change", update);
  update();
  const { element, end } = box(words.title, agree, [...choices.map((each) => each.row), isMore && h("p", { class: "hint" }, words.more), withMessages && withMessages.row]);
  return element;
}

/** One statement, and below it what says the same in other words. @param {string} memory @param {string[]} ids @param {Map<string, string>} known */
function groupChoice(memory, ids, known) {
  const { row, box: input } = checkLine(memory, true);
  const copies = ids.map((id) => known.get(id) ?? "").slice(1);
  const others = copies.filter((each) => each !== memory);
  const list = h("details", { class: "copies" }, h("summary", {}, words.copies(copies.length)), h("ul", {}, (others.length ? others : copies).map((each) => h("li", {}, each))));
  return { ids, box: input, row: h("div", {}, row, copies.length > 0 && list) };
}

/** Everything of a profile, or of a day. It takes a second confirmation. @param {ForgetQuestion} question @param {"everything" | "today"} all @param {Confirm} confirm */
function wholeQuestion({ memories, count, messages }, all, confirm) {
  const withMessages = messages > 0 && messagesChoice(words.alsoDelete(words.allMessages[all](messages)), words.messagesHint);
  const list = h("details", { class: "copies" }, h("summary", {}, memories.length < count ? words.newest(memories.length) : words.which), h("ul", {}, memories.map((each) => h("li", {}, each.memory))));
  const agree = button(words.allNext, async () => {
    const isWith = isChecked(withMessages);
    const will = h("ul", {}, h("li", {}, words.allMemories[all](count)), isWith && h("li", {}, words.allMessages[all](messages)));
    const body = [h("p", {}, words.allWill), will, !isWith && messages > 0 && h("p", {}, words.messagesStay), h("p", {}, h("strong", {}, words.final))];
    if (await ask({ title: words.allTitle[all], body, agree: words.allAgree, cancel: texts.cancel, danger: true })) {
      end(() => confirm({ confirm_forget_all: all, forget_messages: isWith }));
    }
  }, { class: "danger" });
  const { element, end } = box(words.allTitle[all], agree, [h("p", {}, words.allFound(words.allMemories[all](count))), list, withMessages && withMessages.row]);
  return element;
}

/** @param {string} title @param {HTMLElement} agree @param {import("../elements.js").Child[]} content */
function box(title, agree, content) {
  const element = h("fieldset", { class: "box" }, h("legend", {}, title), content, h("div", { class: "actions" }, button(words.none, () => end(() => {})), agree));
  const end = (/** @type {() => unknown} */ act) => {
    element.remove();
    act();
  };
  return { element, end };
}

/** A choice of its own, because people read their messages as their own record. @param {string} label @param {string} hint */
function messagesChoice(label, hint) {
  const { row, box: input } = checkLine(label, false);
  return { box: input, row: h("div", { class: "with-messages" }, row, h("p", { class: "hint" }, hint)) };
}

/** @param {string} label @param {boolean} checked */
function checkLine(label, checked) {
  const input = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", checked }));
  return { box: input, row: h("label", { class: "check-line" }, input, h("span", {}, label)) };
}

/** @param {{box: HTMLInputElement} | false} choice */
function isChecked(choice) {
  return choice !== false && choice.box.checked;
}
