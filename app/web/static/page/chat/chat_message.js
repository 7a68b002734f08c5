/** Messages of a conversation, and below an answer what was recalled for it and learned from it. */

import { call } from "../api.js";
import { describe, fill, h } from "../elements.js";
import { forgetQuestion } from "./forget_question.js";
import { markdown } from "./markdown.js";
import { memoryLine } from "../memories/memory_item.js";
import { texts } from "../texts.js";

const words = texts.chat;
const LEARNING_SECONDS = 60;
const LOOK_EVERY_MS = 700;
/** @typedef {{id: string, memory: string, score?: number, score_breakdown?: Record<string, number>}} Remembered */
/**
 * @typedef {{
 *   element: HTMLElement, addText: (text: string) => void, showRecalled: (memories: Remembered[], failed: boolean) => void,
 *   finish: (answer: any) => void, interrupt: () => void, end: () => void,
 * }} Answer
 */

/** @param {{role: string, content: string, metadata?: {interrupted?: boolean}}} message */
export function messageElement(message) {
  const isUser = message.role === "user";
  return h(
    "article",
    { class: isUser ? "message user" : "message assistant" },
    h("h2", {}, isUser ? words.you : words.assistant),
    h("div", { class: "text" }, isUser ? h("p", { class: "memory-text" }, message.content) : markdown(message.content)),
    message.metadata?.interrupted && h("p", { class: "hint" }, words.interrupted),
  );
}

/**
 * @param {import("./forget_question.js").Confirm} confirmForget
 * @returns {Answer}
 */
export function answerElement(confirmForget) {
  let written = "";
  const text = h("div", { class: "text" }, h("span", { class: "typing", "aria-hidden": "true" }, h("i"), h("i"), h("i")));
  const below = h("div", { class: "below" });
  const element = h("article", { class: "message assistant", "aria-busy": "true" }, h("h2", {}, words.assistant), text, below);
  return {
    element,
    end: () => element.removeAttribute("aria-busy"),
    addText(piece) {
      written += piece;
      fill(text, markdown(written));
    },
    showRecalled(memories, failed) {
      if (failed) below.append(h("p", { class: "problem", role: "alert" }, words.recallFailed));
      if (memories.length) below.append(memoryDetails(words.recalled(memories.length), memories, words.recalledHint));
    },
    finish(answer) {
      fill(text, markdown(answer.message.content));
      if (answer.standing?.length) below.append(memoryDetails(words.standing(answer.standing.length), answer.standing));
      if (!answer.by_meaning) below.append(h("p", { class: "hint" }, words.recalledByWords));
      if (isUnknown(answer)) below.append(h("p", { class: "hint" }, answer.standing?.length ? words.nothingElseFits : words.nothingFits));
      if (answer.forget) below.append(forgetQuestion(answer.forget, confirmForget));
      if (answer.event_id) below.append(learned(answer.event_id));
    },
    interrupt() {
      if (!written) fill(text);
      below.append(h("p", { class: "hint" }, words.interrupted));
    },
  };
}

/** Requests to forget and incognito read no memories for an answer, and words alone may miss some. @param {any} answer */
function isUnknown({ answerable, recalled, recall_failed: failed, by_meaning: isByMeaning, forget, forgotten, privacy_mode: mode, will_remember: isRemembered }) {
  const isAboutForgetting = forget || forgotten.length || (mode === "normal" && !isRemembered);
  return !answerable && !recalled.length && !failed && isByMeaning && !isAboutForgetting && mode !== "incognito";
}

/** @param {string} title @param {Remembered[]} memories @param {string} [hint] */
function memoryDetails(title, memories, hint) {
  return h("details", { class: "memories-of-answer" }, h("summary", {}, title), hint && h("p", { class: "hint" }, hint), h("ul", {}, memories.map(memoryLine)));
}

/** What is being learned from an answer, until it is known. @param {string} eventId */
function learned(eventId) {
  const place = h("div", { class: "learned" }, h("p", { class: "hint" }, words.learning));
  void watch(eventId, place);
  return place;
}

/** @param {string} eventId @param {HTMLElement} place */
async function watch(eventId, place) {
  const until = Date.now() + LEARNING_SECONDS * 1000;
  try {
    while (Date.now() < until) {
      const event = await call("GET", `/v1/event/${eventId}/`);
      if (event.status === "FAILED") return fill(place, h("p", { class: "hint" }, words.learningFailed));
      if (event.status === "SUCCEEDED") return showLearned(event, place);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      if (!place.isConnected) return;
    }
    fill(place);
  } catch (error) {
    fill(place, h("p", { class: "hint" }, describe(error)));
  }
}

/** @param {any} event @param {HTMLElement} place */
function showLearned(event, place) {
  const memories = event.results
    .filter((/** @type {any} */ each) => each.event !== "NONE" && each.data?.memory)
    .map((/** @type {any} */ each) => ({ id: each.id, memory: each.data.memory }));
  if (memories.length) return fill(place, memoryDetails(words.learned(memories.length), memories));
  fill(place, h("p", { class: "hint" }, words.learnedNothing, event.note && ` ${event.note}`));
}
