/** The frame of the page: who is signed in, which view is shown, and how to get to the others. */

import { adoptSession, ApiError, call, chooseProject, chosenProject, forgetSession, isSignedIn, listAll, NOT_A_MEMBER, rememberAccount, resume, whenFactorNeeded, whenProjectLost, whenSignedOut } from "./api.js";
import { announce, button, describe, fill, h, takeNotice } from "./elements.js";
import { keepFocus } from "./focus.js";
import { receivedInvitations, takeInvitation } from "./invitations.js";
import { texts } from "./texts.js";

/** @typedef {import("./api.js").Account} Account */
/** @typedef {{id: string, name: string, role: "OWNER" | "READER" | "USER"}} Project */

/** The modules of the views, loaded when they are shown. @type {Record<string, () => Promise<unknown>>} */
const VIEWS = {
  chat: () => import("./chat/chat.js"),
  memories: () => import("./memories/memories.js"),
  profiles: () => import("./profiles.js"),
  developers: () => import("./developers/developers.js"),
  operations: () => import("./operations/operations.js"),
  account: () => import("./account/account.js"),
  start: () => import("./start/start.js"),
  authorize: () => import("./account/authorize.js"),
};
/** @type {Array<"chat" | "memories" | "profiles" | "developers" | "operations" | "account">} */
const NAVIGATION = ["chat", "memories", "profiles", "developers", "operations", "account"];
/** Views that need the rights of an owner. */
const FOR_OWNERS = ["operations"];

class KeepsakeApp extends HTMLElement {
  async connectedCallback() {
    keepFocus(this);
    whenSignedOut(() => this.signOut(texts.signedOut));
    whenFactorNeeded(async () => (await import("./account/confirm_factor.js")).confirmFactor());
    whenProjectLost(() => this.enter(texts.projectLost));
    window.addEventListener("hashchange", () => (takeInvitation() && this.querySelector("header.frame") ? this.enter() : this.show()));
    fill(this, h("p", { class: "loading", role: "status" }, texts.loading));
    takeInvitation();
    const link = readLink();
    if (link) return this.followLink(link);
    // The view is loaded while the session is renewed. A failure is reported when the view is shown.
    if (isSignedIn()) void VIEWS[viewInAddress()]().catch(() => {});
    try {
      if (await resume()) return await this.enter();
    } catch (error) {
      return this.showProblem(error);
    }
    await this.showSignIn();
  }

  /** A link from an e-mail ends here, with a session or an error after the #. @param {URLSearchParams} link */
  async followLink(link) {
    history.replaceState(null, "", location.pathname);
    const refresh = link.get("refresh_token");
    try {
      if (!refresh || !(await adoptSession(refresh))) return this.showSignIn(link.get("message") ?? texts.signIn.linkFailed);
    } catch (error) {
      return this.showProblem(error);
    }
    if (link.get("type") === "recovery") return this.showSignIn("", "new-password");
    announce(texts.signIn.confirmed);
    await this.enter();
  }

  /** @param {string} [message] @param {string} [step] */
  async showSignIn(message = "", step = "sign-in") {
    await import("./sign_in.js");
    const view = h("keepsake-sign-in", { step, message });
    view.addEventListener("signed-in", (event) => {
      const isNew = /** @type {CustomEvent} */ (event).detail.isNew;
      // A person who came to authorize an application goes on with that.
      if (isNew && viewInAddress() !== "authorize") location.hash = "#start";
      void this.enter();
    });
    fill(this, announcements(), h("main", { id: "content", tabindex: -1, class: "narrow" }, view));
  }

  /** @param {unknown} error */
  showProblem(error) {
    const message = error instanceof Error ? error.message : String(error);
    const again = button(texts.retry, () => location.reload(), { class: "primary" });
    fill(this, h("main", { class: "narrow" }, h("h1", {}, texts.name), h("p", { class: "problem", role: "alert" }, message), again));
  }

  /** @param {string} [notice] what happened, if the person has to know why another project is shown */
  async enter(notice = takeNotice()) {
    try {
      const [account, projects] = await Promise.all([call("GET", "/v1/auth/me"), listAll("/v1/projects")]);
      if (!projects.some((each) => each.id === chosenProject())) chooseProject(null);
      // The list has to show which of several projects is the one that calls act in.
      if (projects.length > 1 && !chosenProject()) chooseProject((await call("GET", "/v1/ping/")).project_id);
      rememberAccount(account);
      this.frame(account, projects, notice);
      await this.show();
    } catch (error) {
      // The project was forgotten, and the page is entered again.
      if (error instanceof ApiError && error.code === NOT_A_MEMBER && !chosenProject()) return;
      this.showProblem(error);
    }
  }

  /** @param {Account} account @param {Project[]} projects @param {string} notice */
  frame(account, projects, notice) {
    const shown = NAVIGATION.filter((name) => !FOR_OWNERS.includes(name) || isOwner(projects));
    const links = shown.map((name) => h("li", {}, h("a", { href: `#${name}` }, texts.nav[name])));
    fill(
      this,
      h("a", { class: "skip", href: "#content", onclick: skipToContent }, texts.skip),
      h(
        "header",
        { class: "frame" },
        h("a", { class: "brand", href: "#chat" }, h("img", { src: "page/icon.svg", alt: "", width: 28, height: 28 }), texts.name),
        h("nav", { "aria-label": texts.nav.label }, h("ul", {}, links)),
        projects.length > 1 && projectChoice(projects, () => this.enter()),
        h("span", { class: "who" }, account.email),
        button(texts.account.signOut, () => this.leave(), { class: "small sign-out", "aria-label": `${texts.account.signOut}: ${account.email}` }),
      ),
      announcements(),
      notice && h("section", { class: "invitations", "aria-label": texts.notice }, h("p", { class: "box invitation", role: "alert" }, notice)),
      receivedInvitations(account.email, () => this.enter()),
      h("main", { id: "content", tabindex: -1 }),
    );
  }

  async show() {
    const main = this.querySelector("main:not(.narrow)");
    if (!main) return;
    const view = viewInAddress();
    for (const link of this.querySelectorAll("nav a")) {
      if (link.getAttribute("href") === `#${view}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    await VIEWS[view]();
    // Meanwhile the person may have gone to another view, whose module was loaded before this one.
    if (view !== viewInAddress() || !main.isConnected) return;
    const element = h(`keepsake-${view}`, {});
    element.addEventListener("signed-out", (event) => this.signOut(/** @type {CustomEvent} */ (event).detail));
    delete document.documentElement.dataset.mode;
    fill(main, element);
    /** @type {HTMLElement} */ (main).focus({ preventScroll: true });
  }

  async leave() {
    try {
      await call("POST", "/v1/auth/logout", { scope: "local" });
      this.signOut("");
    } catch (error) {
      announce(describe(error));
    }
  }

  /** @param {string} message */
  signOut(message) {
    forgetSession();
    history.replaceState(null, "", location.pathname);
    delete document.documentElement.dataset.mode;
    void this.showSignIn(message);
  }
}

/** In the chosen project; without a choice, the server acts in a project of one's own first. @param {Project[]} projects */
function isOwner(projects) {
  const chosen = chosenProject();
  return projects.some((each) => each.role === "OWNER" && (!chosen || each.id === chosen));
}

function viewInAddress() {
  const [name] = location.hash.slice(1).split("/");
  return name in VIEWS ? name : "chat";
}

/** @returns {URLSearchParams | null} */
function readLink() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  return ["access_token", "error", "error_code", "message"].some((name) => fragment.has(name)) ? fragment : null;
}

/** @param {Event} event */
function skipToContent(event) {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function announcements() {
  return h("div", { id: "announcements", role: "status", "aria-live": "polite" });
}

/** @param {Project[]} projects @param {() => void} changed */
function projectChoice(projects, changed) {
  const isUnique = (/** @type {string} */ name) => projects.filter((each) => each.name === name).length === 1;
  const label = (/** @type {Project} */ each) => (isUnique(each.name) ? each.name : `${each.name} (${texts.developers.members.roles[each.role]})`);
  const options = projects.map((each) => h("option", { value: each.id, selected: each.id === chosenProject() }, label(each)));
  return h(
    "label",
    { class: "project" },
    h("span", {}, texts.project),
    h(
      "select",
      {
        onchange: (/** @type {Event} */ event) => {
          chooseProject(/** @type {HTMLSelectElement} */ (event.target).value);
          changed();
        },
      },
      options,
    ),
  );
}

customElements.define("keepsake-app", KeepsakeApp);
