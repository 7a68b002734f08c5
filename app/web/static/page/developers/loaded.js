/** Parts of a view that come from the server, and actions that change something there. */

import { ApiError } from "../api.js";
import { button, describe, fill, h, whileBusy } from "../elements.js";
import { texts } from "../texts.js";

/** @typedef {import("../elements.js").Child} Child */

const LOOK_AGAIN_MS = 500;
const MAX_LOOKS = 30;

/** Shows that something is loaded, then the content or what went wrong. An answer that arrives late never replaces a newer one. */
export class Loaded {
  /** @param {() => Promise<Child | Child[]>} read */
  constructor(read) {
    this.read = read;
    this.latest = 0;
    this.looks = 0;
    this.status = h("div", {});
    this.content = h("div", {});
    this.element = h("div", {}, this.status, this.content);
  }

  async reload() {
    const turn = (this.latest += 1);
    this.element.setAttribute("aria-busy", "true");
    if (!this.content.childElementCount) fill(this.status, h("p", { class: "hint", role: "status" }, texts.loading));
    try {
      const content = await this.read();
      if (turn !== this.latest) return;
      fill(this.status);
      fill(this.content, ...[content].flat());
    } catch (error) {
      if (turn === this.latest) fill(this.status, this.failure(error));
    } finally {
      if (turn === this.latest) this.element.removeAttribute("aria-busy");
    }
  }

  /** For something that changes by itself in a moment. It ends after some time, because a wait can be long. */
  lookAgain() {
    this.looks += 1;
    if (this.looks <= MAX_LOOKS) setTimeout(() => this.element.isConnected && !document.hidden && this.reload(), LOOK_AGAIN_MS);
  }

  /** A person asks for it. */
  refresh() {
    this.looks = 0;
    return this.reload();
  }

  /** @param {unknown} error */
  failure(error) {
    if (error instanceof ApiError && error.code === "offline") {
      window.addEventListener("online", () => this.element.isConnected && this.reload(), { once: true });
    }
    return h("div", { class: "box failure", role: "alert" }, failureText(error), button(texts.retry, () => this.reload()));
  }
}

/** @param {unknown} error */
function failureText(error) {
  const id = error instanceof ApiError && error.status < 500 && error.requestId;
  return h("p", { class: "problem" }, id ? texts.withRequestId(describe(error), id) : describe(error));
}

/**
 * Buttons about one thing, which say what went wrong below them.
 * @param {string} name of the thing, so that each button has a name of its own
 * @param {Array<[string, () => unknown] | false | null>} actions
 * @param {...Child} more
 */
export function actionRow(name, actions, ...more) {
  if (!actions.some(Boolean) && !more.length) return null;
  const problem = h("div", { role: "alert" });
  const buttons = actions.filter((each) => each !== false && each !== null).map(([label, act]) => {
    const element = button(label, () => whileBusy(element, problem, act, failureText), { class: "small", "aria-label": `${label}: ${name}` });
    return element;
  });
  return h("div", {}, h("div", { class: "actions" }, ...more, buttons), problem);
}

/**
 * Shows a form in the place of what it changes, and the old content again after it.
 * @param {HTMLElement} place
 * @param {(close: () => void) => HTMLElement} makeForm
 */
export function editIn(place, makeForm) {
  const before = [...place.childNodes];
  const opener = /** @type {HTMLElement | null} */ (document.activeElement);
  const element = makeForm(() => {
    fill(place, ...before);
    opener?.focus();
  });
  fill(place, element);
  /** @type {HTMLElement | null} */ (element.querySelector("input, textarea, select"))?.focus();
}

/** Moves the focus to something new, so that it is read and seen. @param {HTMLElement} element */
export function showNew(element) {
  element.setAttribute("tabindex", "-1");
  element.focus();
}
