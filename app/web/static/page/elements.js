/** Builds elements. Text always becomes a text node, so nothing that a person wrote is ever read as markup. */

import { texts } from "./texts.js";

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * @param {string} tag
 * @param {Record<string, unknown>} [properties] `on…` adds a listener, `class` and `aria-…` are attributes
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) setProperty(element, name, value);
  element.append(...children.flat().filter(isShown).map(asNode));
  return element;
}

/** @param {HTMLElement} element @param {string} name @param {unknown} value */
function setProperty(element, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
  else if (name === "value" && "value" in element) element.value = String(value);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** @param {Child} child @returns {child is Node | string | number} */
function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}

/** @param {Node | string | number} child */
function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/** @param {Element} parent @param {...(Child | Child[])} children */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat().filter(isShown).map(asNode));
}

let lastId = 0;

/**
 * A labelled input.
 * @param {string} label
 * @param {Record<string, unknown>} [properties]
 * @param {{hint?: string, tag?: string}} [more]
 * @returns {{row: HTMLElement, input: HTMLInputElement}}
 */
export function field(label, properties = {}, { hint, tag = "input" } = {}) {
  const id = `field-${(lastId += 1)}`;
  const described = hint ? { "aria-describedby": `${id}-hint` } : {};
  const input = /** @type {HTMLInputElement} */ (h(tag, { id, ...described, ...properties }));
  const row = h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("p", { id: `${id}-hint`, class: "hint" }, hint));
  return { row, input };
}

/** @param {string} label @param {(event: Event) => unknown} act @param {Record<string, unknown>} [properties] */
export function button(label, act, properties = {}) {
  return h("button", { type: "button", onclick: act, ...properties }, label);
}

/**
 * A form that calls `submit` and shows what went wrong. Its button is disabled meanwhile.
 * @param {Child[]} children
 * @param {() => Promise<void>} submit
 * @param {Record<string, unknown>} [properties]
 */
export function form(children, submit, properties = {}) {
  const problem = h("p", { class: "problem", role: "alert" });
  const element = /** @type {HTMLFormElement} */ (h("form", properties, ...children, problem));
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    void whileBusy(element, problem, submit, describe);
  });
  return element;
}

/**
 * Does something once at a time, and shows what went wrong.
 * @param {HTMLElement} element is marked as busy meanwhile
 * @param {HTMLElement} problem
 * @param {() => unknown} act
 * @param {(error: unknown) => Child} explain
 */
export async function whileBusy(element, problem, act, explain) {
  if (element.getAttribute("aria-busy")) return;
  element.setAttribute("aria-busy", "true");
  fill(problem);
  try {
    await act();
  } catch (error) {
    fill(problem, explain(error));
  } finally {
    element.removeAttribute("aria-busy");
  }
}

/** What went wrong, and a way to try again. @param {unknown} error @param {() => unknown} again */
export function failure(error, again) {
  return h("div", { class: "failure", role: "alert" }, h("p", { class: "problem" }, describe(error)), button(texts.retry, again));
}

/** @param {unknown} error */
export function describe(error) {
  if (error instanceof Error) return error.message;
  return String(error);
}

/**
 * Reads a message to people who cannot see it appear, and shows it for a moment.
 * @param {string} message
 * @param {{isShown?: boolean}} [more] not shown where everybody else sees the same by other means
 */
export function announce(message, { isShown: visible = true } = {}) {
  const region = document.getElementById("announcements");
  if (!region) return;
  const note = h("p", { class: visible ? null : "hidden" }, message);
  region.replaceChildren(note);
  setTimeout(() => note.remove(), 5000);
}

const NOTICE = "keepsake.notice";

/** The page starts again, and then says this. @param {string} message */
export function leaveNotice(message) {
  sessionStorage.setItem(NOTICE, message);
}

export function takeNotice() {
  const message = sessionStorage.getItem(NOTICE) ?? "";
  sessionStorage.removeItem(NOTICE);
  return message;
}

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** @param {string | null} moment */
export function dateText(moment) {
  return moment ? DATE.format(new Date(moment)) : "";
}

/** @param {string} moment */
export function time(moment) {
  return h("time", { datetime: moment }, dateText(moment));
}

/**
 * Opens a dialog and resolves with its answer, as soon as it is closed. The event `close` comes with the next frame, and until then a press
 * of a key on what opened the dialog would count as a repetition and be ignored.
 * @param {string} title
 * @param {(close: (agreed: boolean) => void) => Child[]} makeContent
 * @returns {Promise<boolean>}
 */
export function openDialog(title, makeContent) {
  return new Promise((resolve) => {
    const id = `dialog-${(lastId += 1)}`;
    const close = (/** @type {boolean} */ agreed) => {
      dialog.close();
      dialog.remove();
      resolve(agreed);
    };
    const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-labelledby": id }, h("h2", { id }, title), ...makeContent(close)));
    // A browser may close it without asking, for example when Escape is pressed twice.
    for (const name of ["cancel", "close"]) dialog.addEventListener(name, () => close(false));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * Asks in a dialog. Resolves with whether the person agreed.
 * @param {{title: string, body: Child | Child[], agree: string, cancel: string, danger?: boolean}} question
 * @returns {Promise<boolean>}
 */
export function ask({ title, body, agree, cancel, danger = false }) {
  return openDialog(title, (close) => [
    h("div", {}, body),
    h("div", { class: "actions" }, button(cancel, () => close(false), { autofocus: true }), button(agree, () => close(true), { class: danger ? "danger" : "primary" })),
  ]);
}
