/** Conversations with memory: the list, the messages, the privacy mode, and what was used and learned. */

import { call, listAll, ownUserId } from "../api.js";
import { announce, ask, button, describe, field, fill, form, h } from "../elements.js";
import { answerElement, messageElement } from "./chat_message.js";
import { ChatTurn } from "./chat_turn.js";
import { chooseProfile, currentProfile, profileChoice } from "../profile_choice.js";
import { texts } from "../texts.js";

const words = texts.chat;
/** @typedef {"normal" | "pause_memories" | "incognito"} Mode */
/** @typedef {{id: string, title: string | null, privacy_mode: Mode, profile_id: string}} Session */
/** What was written and not sent, while other views are shown. It is in the memory of this tab, and never from incognito. */
let draft = "";
/** Whose incognito conversation ended because another view was opened. */
let endedFor = "";
const NARROW = matchMedia("(max-width: 45rem)");
/** @type {Mode[]} */
const MODES = ["normal", "pause_memories", "incognito"];

class KeepsakeChat extends HTMLElement {
  async connectedCallback() {
    this.fold = () => this.showControls(!NARROW.matches);
    NARROW.addEventListener("change", this.fold);
    /** @type {Session | null} */
    this.session = null;
    /** @type {Mode} */
    this.mode = "normal";
    /** @type {ChatTurn | null} */
    this.turn = null;
    /** A turn without an answer: sending the same words again repeats it, so that it counts once. @type {ChatTurn | null} */
    this.failed = null;
    fill(this, h("h1", { class: "hidden" }, words.title), h("p", { role: "status" }, texts.loading));
    try {
      this.build(await listAll("/v1/profiles"));
      await this.open(null);
      if (endedFor && endedFor === ownUserId()) this.log?.prepend(h("p", { class: "box", role: "status" }, words.incognitoEnded));
      endedFor = "";
    } catch (error) {
      fill(this, h("p", { class: "problem", role: "alert" }, describe(error)), button(texts.retry, () => this.connectedCallback()));
    }
  }

  /** An incognito conversation exists only while it is shown, so leaving the view ends it. */
  disconnectedCallback() {
    if (this.fold) NARROW.removeEventListener("change", this.fold);
    draft = this.mode === "incognito" ? "" : (this.input?.value ?? "");
    this.turn?.stop();
    endedFor = this.session?.privacy_mode === "incognito" ? ownUserId() : "";
    void this.endIncognito();
    delete document.documentElement.dataset.mode;
    document.title = texts.name;
  }

  /** @param {import("../profile_choice.js").Profile[]} profiles */
  build(profiles) {
    this.sessionList = h("ul", {});
    this.log = h("div", { class: "log", role: "log", "aria-label": words.title, tabindex: 0 });
    this.problem = h("div", { class: "problem", role: "alert" });
    const message = field(words.message, { rows: 2, required: true }, { tag: "textarea" });
    message.input.addEventListener("keydown", (event) => this.sendOnEnter(event));
    message.input.addEventListener("focus", () => this.showControls(!NARROW.matches));
    message.input.value = draft;
    this.input = message.input;
    this.sendButton = h("button", { class: "primary" }, words.send);
    this.stopButton = button(words.stop, () => this.turn?.stop(), { hidden: true });
    this.composer = form([message.row, h("div", { class: "actions" }, this.stopButton, this.sendButton)], () => this.send(), { class: "composer" });
    this.persona = h("p", { class: "persona" });
    this.sessionBar = h("div", { class: "session-bar" });
    this.profiles = profiles;
    this.profilePlace = h("span", {}, this.profileSwitch());
    this.chosen = h("summary", { class: "bar-chosen" });
    this.controls = /** @type {HTMLDetailsElement} */ (h("details", { class: "bar", open: !NARROW.matches }, this.chosen, h("div", { class: "bar-controls" }, this.profilePlace, this.modeSwitch(), this.persona)));
    this.sessionsShown = /** @type {HTMLDetailsElement} */ (h("details", { open: !NARROW.matches }, h("summary", {}, words.conversations), this.sessionList));
    fill(
      this,
      h("h1", { class: "hidden" }, words.title),
      h(
        "section",
        { class: "sessions", "aria-label": words.conversations },
        button(words.new, () => this.change(null), { class: "primary wide" }),
        this.sessionsShown,
      ),
      h("section", { class: "conversation", "aria-label": words.title }, this.controls, this.sessionBar, this.log, this.problem, this.composer),
    );
  }

  profileSwitch() {
    const before = currentProfile();
    return profileChoice(this.profiles ?? [], async () => {
      if (await this.change(null)) return fill(/** @type {HTMLElement} */ (this.profilePlace), this.profileSwitch());
      chooseProfile(before);
      fill(/** @type {HTMLElement} */ (this.profilePlace), this.profileSwitch());
    });
  }

  showPersona() {
    const persona = this.profiles?.find((each) => each.id === currentProfile())?.persona;
    fill(/** @type {HTMLElement} */ (this.persona), persona && words.persona(persona));
    this.showChosen();
  }

  /** A narrow window has room for one line that says what is chosen. It opens the controls. @param {boolean} open */
  showControls(open) {
    if (this.controls) this.controls.open = open;
    if (this.sessionsShown) this.sessionsShown.open = open;
  }

  showChosen() {
    const profile = this.profiles?.find((each) => each.id === currentProfile())?.name ?? "";
    const mode = /** @type {Mode} */ (this.mode ?? "normal");
    if (this.chosen) fill(this.chosen, h("span", { class: "bar-profile" }, `${words.profile}: ${profile}`), " ", h("span", { class: `tag privacy ${mode}` }, `${words.privacy}: ${words.modes[mode]}`));
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
    const mode = /** @type {Mode} */ (this.mode ?? "normal");
    document.documentElement.dataset.mode = mode;
    document.title = mode === "incognito" ? words.incognitoTitle : texts.name;
    this.input?.setAttribute("placeholder", mode === "incognito" ? words.incognitoPlaceholder : "");
    for (const radio of /** @type {NodeListOf<HTMLInputElement>} */ (this.querySelectorAll("input[name=privacy]"))) radio.checked = radio.value === mode;
    fill(/** @type {HTMLElement} */ (this.meaning), words.means[mode]);
    this.showChosen();
  }

  /** @param {Mode} mode */
  async changeMode(mode) {
    try {
      if (!(await this.mayLeave())) return this.showMode();
      const isOther = [mode, this.session?.privacy_mode].includes("incognito");
      if (this.session && isOther) {
        this.mode = mode;
        await this.open(null, mode);
      } else {
        if (this.session) this.session = await call("PATCH", `/v1/sessions/${this.session.id}`, { privacy_mode: mode });
        this.mode = mode;
        this.showMode();
        if (!this.session) await this.showMessages();
      }
    } catch (error) {
      this.showProblem(error);
      this.showMode();
    }
  }

  /** An incognito conversation is gone once it is left. */
  async mayLeave() {
    if (this.session?.privacy_mode !== "incognito") return true;
    return ask({ title: words.leaveIncognito, body: words.leaveIncognitoBody, agree: words.leave, cancel: texts.cancel });
  }

  /** @param {Session | null} session @returns {Promise<boolean>} whether the person wants that */
  async change(session) {
    if (!(await this.mayLeave())) return false;
    await this.open(session);
    return true;
  }

  async endIncognito() {
    const session = this.session;
    if (session?.privacy_mode !== "incognito") return;
    this.session = null;
    await call("DELETE", `/v1/sessions/${session.id}`).catch((error) => this.showProblem(error));
  }

  async loadSessions() {
    const profile = currentProfile();
    const sessions = /** @type {Session[]} */ (await listAll(`/v1/sessions?limit=100&profile_id=${profile}`));
    if (profile !== currentProfile()) return;
    const shown = sessions.filter((each) => each.privacy_mode !== "incognito");
    fill(/** @type {HTMLElement} */ (this.sessionList), shown.length ? shown.map((each) => this.sessionItem(each)) : h("li", { class: "hint" }, words.none));
  }

  /** @param {Session} session */
  sessionItem(session) {
    const title = session.title ?? words.untitled;
    const isOpen = session.id === this.session?.id;
    return h("li", {}, button(title, () => this.change(session), { class: "session", "aria-current": isOpen ? "true" : null }));
  }

  /** @param {Session | null} session null begins a new conversation @param {Mode} [mode] */
  async open(session, mode = session?.privacy_mode ?? "normal") {
    this.turn?.stop();
    void this.endIncognito();
    this.session = session;
    this.mode = mode;
    this.failed = null;
    this.showMode();
    this.showPersona();
    this.showActions();
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
    const session = this.session;
    if (!session) return fill(log, h("p", { class: "empty" }, this.mode === "incognito" ? words.emptyIncognito : words.empty));
    fill(log, h("p", { role: "status" }, texts.loading));
    const page = await call("GET", `/v1/sessions/${session.id}/messages?limit=100`);
    if (session.id !== this.session?.id) return;
    fill(log, page.results.reverse().map((/** @type {any} */ each) => messageElement(each)));
    log.scrollTop = log.scrollHeight;
  }

  showActions() {
    const session = this.session;
    fill(/** @type {HTMLElement} */ (this.sessionBar), session && session.privacy_mode !== "incognito" && this.sessionActions(session));
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
    await this.run(this.failed?.content === content ? this.failed.again() : new ChatTurn(content));
  }

  /** @param {ChatTurn} turn */
  async run(turn) {
    const log = /** @type {HTMLElement} */ (this.log);
    const problem = /** @type {HTMLElement} */ (this.problem);
    fill(problem);
    log.querySelector(".empty")?.remove();
    const question = messageElement({ role: "user", content: turn.content });
    const answer = answerElement((confirmation) => this.run(new ChatTurn(words.confirmForget, confirmation)));
    log.append(question, answer.element);
    this.turn = turn;
    this.failed = null;
    this.setBusy(true);
    try {
      const session = this.session ?? (await call("POST", "/v1/sessions", { profile_id: currentProfile(), privacy_mode: this.mode }));
      if (this.turn !== turn) return;
      this.session = session;
      this.showActions();
      await turn.run(session.id, answer, () => (log.scrollTop = log.scrollHeight));
    } catch (error) {
      question.remove();
      answer.element.remove();
      if (this.turn === turn) this.fail(error, turn);
    } finally {
      if (this.turn === turn) await this.endTurn(turn);
    }
  }

  /** @param {ChatTurn} turn */
  async endTurn(turn) {
    this.turn = null;
    this.setBusy(false);
    if (!this.isConnected) return;
    const fail = (/** @type {unknown} */ error) => this.showProblem(error);
    // Messages that were deleted are still shown.
    if (turn.confirmation?.forget_messages && turn !== this.failed) await this.showMessages().catch(fail);
    // The next message can be sent meanwhile.
    void this.loadSessions().catch(fail);
  }

  /** What was written stays in the input. @param {unknown} error @param {ChatTurn} turn */
  fail(error, turn) {
    this.failed = turn;
    if (this.input && !this.input.value) this.input.value = turn.content;
    this.showProblem(error, () => {
      if (this.input?.value === turn.content) this.input.value = "";
      return this.run(turn.again());
    });
  }

  /** @param {boolean} busy */
  setBusy(busy) {
    /** @type {HTMLButtonElement} */ (this.sendButton).hidden = busy;
    /** @type {HTMLButtonElement} */ (this.stopButton).hidden = !busy;
    if (busy) announce(words.writing, { isShown: false });
  }

  /** @param {unknown} error @param {() => unknown} [again] */
  showProblem(error, again) {
    fill(/** @type {HTMLElement} */ (this.problem), h("p", {}, describe(error)), again && button(texts.retry, again));
  }
}

customElements.define("keepsake-chat", KeepsakeChat);
