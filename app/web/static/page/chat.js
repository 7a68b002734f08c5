/** Conversations with memory: the list, the messages, the privacy mode, and what was used and learned. */

import { call, listAll } from "./api.js";
import { announce, ask, button, describe, field, fill, form, h } from "./elements.js";
import { answerElement, messageElement } from "./chat_message.js";
import { ChatTurn } from "./chat_turn.js";
import { currentProfile, profileChoice } from "./profile_choice.js";
import { texts } from "./texts.js";

const words = texts.chat;
/** @typedef {"normal" | "pause_memories" | "incognito"} Mode */
/** @typedef {{id: string, title: string | null, privacy_mode: Mode, profile_id: string}} Session */
/** @type {Mode[]} */
const MODES = ["normal", "pause_memories", "incognito"];

class KeepsakeChat extends HTMLElement {
  async connectedCallback() {
    /** @type {Session | null} */
    this.session = null;
    /** @type {Mode} */
    this.mode = "normal";
    /** @type {ChatTurn | null} */
    this.turn = null;
    fill(this, h("h1", { class: "hidden" }, words.title), h("p", { role: "status" }, texts.loading));
    try {
      this.build(await listAll("/v1/profiles"));
      await this.open(null);
    } catch (error) {
      fill(this, h("p", { class: "problem", role: "alert" }, describe(error)), button(texts.retry, () => this.connectedCallback()));
    }
  }

  /** An incognito conversation exists only while it is shown, so leaving the view ends it. */
  disconnectedCallback() {
    this.turn?.stop();
    void this.endIncognito();
    delete document.documentElement.dataset.mode;
  }

  /** @param {import("./profile_choice.js").Profile[]} profiles */
  build(profiles) {
    this.sessionList = h("ul", {});
    this.log = h("div", { class: "log", role: "log", "aria-label": words.title, tabindex: 0 });
    this.problem = h("div", { class: "problem", role: "alert" });
    const message = field(words.message, { rows: 2, required: true }, { tag: "textarea" });
    message.input.addEventListener("keydown", (event) => this.sendOnEnter(event));
    this.input = message.input;
    this.sendButton = h("button", { class: "primary" }, words.send);
    this.stopButton = button(words.stop, () => this.turn?.stop(), { hidden: true });
    this.composer = form([message.row, h("div", { class: "actions" }, this.stopButton, this.sendButton)], () => this.send(), { class: "composer" });
    const profile = profileChoice(profiles, () => this.open(null));
    fill(
      this,
      h("h1", { class: "hidden" }, words.title),
      h(
        "section",
        { class: "sessions", "aria-label": words.conversations },
        button(words.new, () => this.open(null), { class: "primary wide" }),
        h("details", { open: window.innerWidth > 720 }, h("summary", {}, words.conversations), this.sessionList),
      ),
      h("section", { class: "conversation", "aria-label": words.title }, h("div", { class: "bar" }, profile, this.modeSwitch()), this.log, this.problem, this.composer),
    );
  }

  modeSwitch() {
    this.meaning = h("p", { class: "meaning", id: "privacy-meaning", role: "status" });
    const radios = MODES.map((mode) =>
      h(
        "label",
        { class: `mode ${mode}` },
        h("input", { type: "radio", name: "privacy", value: mode, "aria-describedby": "privacy-meaning", onchange: () => this.changeMode(mode) }),
        h("span", {}, words.modes[mode]),
      ),
    );
    return h("fieldset", { class: "modes" }, h("legend", {}, words.privacy), radios, this.meaning);
  }

  showMode() {
    const mode = this.mode ?? "normal";
    document.documentElement.dataset.mode = mode;
    for (const radio of /** @type {NodeListOf<HTMLInputElement>} */ (this.querySelectorAll("input[name=privacy]"))) radio.checked = radio.value === mode;
    fill(/** @type {HTMLElement} */ (this.meaning), words.means[mode]);
  }

  /** @param {Mode} mode */
  async changeMode(mode) {
    try {
      if (this.session && this.mode === "incognito" && this.log?.childElementCount) {
        const question = { title: words.leaveIncognito, body: words.leaveIncognitoBody, agree: words.leave, cancel: texts.cancel };
        if (!(await ask(question))) return this.showMode();
      }
      if (this.session && (mode === "incognito" || this.mode === "incognito")) {
        this.mode = mode;
        await this.open(null, mode);
      } else {
        if (this.session) this.session = await call("PATCH", `/v1/sessions/${this.session.id}`, { privacy_mode: mode });
        this.mode = mode;
        this.showMode();
      }
    } catch (error) {
      this.showProblem(error);
      this.showMode();
    }
  }

  async endIncognito() {
    const session = this.session;
    if (session?.privacy_mode !== "incognito") return;
    this.session = null;
    await call("DELETE", `/v1/sessions/${session.id}`).catch((error) => this.showProblem(error));
  }

  async loadSessions() {
    const sessions = /** @type {Session[]} */ (await listAll(`/v1/sessions?limit=100&profile_id=${currentProfile()}`));
    const shown = sessions.filter((each) => each.privacy_mode !== "incognito");
    fill(/** @type {HTMLElement} */ (this.sessionList), shown.length ? shown.map((each) => this.sessionItem(each)) : h("li", { class: "hint" }, words.none));
  }

  /** @param {Session} session */
  sessionItem(session) {
    const title = session.title ?? words.untitled;
    const isOpen = session.id === this.session?.id;
    return h("li", {}, button(title, () => this.open(session), { class: "session", "aria-current": isOpen ? "true" : null }));
  }

  /** @param {Session | null} session null begins a new conversation @param {Mode} [mode] */
  async open(session, mode = session?.privacy_mode ?? "normal") {
    this.turn?.stop();
    void this.endIncognito();
    this.session = session;
    this.mode = mode;
    this.showMode();
    fill(/** @type {HTMLElement} */ (this.problem));
    this.input?.focus();
    this.opening = this.load();
    await this.opening.catch((error) => this.showProblem(error, () => this.open(session, mode)));
  }

  async load() {
    await this.showMessages();
    await this.loadSessions();
  }

  async showMessages() {
    const log = /** @type {HTMLElement} */ (this.log);
    if (!this.session) return fill(log, h("p", { class: "empty" }, words.empty));
    fill(log, h("p", { role: "status" }, texts.loading));
    const page = await call("GET", `/v1/sessions/${this.session.id}/messages?limit=100`);
    fill(log, this.sessionActions(this.session), page.results.reverse().map((/** @type {any} */ each) => messageElement(each)));
    log.scrollTop = log.scrollHeight;
  }

  /** @param {Session} session */
  sessionActions(session) {
    const path = `/v1/sessions/${session.id}`;
    const attempt = async (/** @type {() => Promise<void>} */ work) => work().catch((error) => this.showProblem(error));
    const danger = { cancel: texts.cancel, danger: true };
    return h(
      "div",
      { class: "actions session-actions" },
      button(words.rename, () => this.rename(session), { class: "small" }),
      button(words.reset, () => attempt(async () => {
        if (!(await ask({ ...danger, title: words.resetTitle, body: words.resetBody, agree: words.reset }))) return;
        await call("POST", `${path}/reset`);
        await this.showMessages();
      }), { class: "small" }),
      button(words.delete, () => attempt(async () => {
        if (!(await ask({ ...danger, title: words.deleteTitle, body: words.deleteBody, agree: words.delete }))) return;
        await call("DELETE", path);
        await this.open(null);
      }), { class: "small" }),
    );
  }

  /** @param {Session} session */
  async rename(session) {
    const { row, input } = field(words.newTitle, { value: session.title ?? "", maxlength: 300 });
    if (!(await ask({ title: words.rename, body: row, agree: texts.save, cancel: texts.cancel }))) return;
    try {
      this.session = await call("PATCH", `/v1/sessions/${session.id}`, { title: input.value });
      await this.loadSessions();
    } catch (error) {
      this.showProblem(error);
    }
  }

  /** @param {KeyboardEvent} event */
  sendOnEnter(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    /** @type {HTMLFormElement} */ (this.composer).requestSubmit();
  }

  async send() {
    const input = /** @type {HTMLTextAreaElement} */ (/** @type {unknown} */ (this.input));
    const content = input.value.trim();
    if (!content) return input.focus();
    input.value = "";
    await this.opening?.catch(() => {});
    await this.run(new ChatTurn(content));
  }

  /** @param {ChatTurn} turn */
  async run(turn) {
    const log = /** @type {HTMLElement} */ (this.log);
    const problem = /** @type {HTMLElement} */ (this.problem);
    fill(problem);
    log.querySelector(".empty")?.remove();
    const question = messageElement({ role: "user", content: turn.content });
    const answer = answerElement((ids) => this.run(new ChatTurn(words.confirmForget, ids)));
    log.append(question, answer.element);
    this.turn = turn;
    this.setBusy(true);
    try {
      this.session ??= await call("POST", "/v1/sessions", { profile_id: currentProfile(), privacy_mode: this.mode });
      await turn.run(this.session?.id ?? "", answer, () => (log.scrollTop = log.scrollHeight));
    } catch (error) {
      question.remove();
      answer.element.remove();
      this.showProblem(error, () => this.run(turn.again()), turn);
    } finally {
      this.turn = null;
      this.setBusy(false);
      if (this.isConnected) await this.loadSessions().catch((error) => this.showProblem(error));
    }
  }

  /** @param {boolean} busy */
  setBusy(busy) {
    /** @type {HTMLButtonElement} */ (this.sendButton).hidden = busy;
    /** @type {HTMLButtonElement} */ (this.stopButton).hidden = !busy;
    if (busy) announce(words.writing, { isShown: false });
  }

  /** @param {unknown} error @param {() => unknown} [again] @param {ChatTurn} [turn] what was written stays in the input */
  showProblem(error, again, turn) {
    const problem = /** @type {HTMLElement} */ (this.problem);
    if (turn && this.input && !this.input.value) this.input.value = turn.content;
    const retry = again && button(texts.retry, () => {
      if (turn && this.input?.value === turn.content) this.input.value = "";
      void again();
    });
    fill(problem, h("p", {}, describe(error)), retry);
  }
}

customElements.define("keepsake-chat", KeepsakeChat);
