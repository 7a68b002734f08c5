/** An application asks to act as this person, for example an assistant that connects to /mcp. */

import { call, chosenProject, listAll } from "../api.js";
import { button, describe, fill, h } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.authorize;

/** @typedef {{client_id: string, client_name: string, redirect_uri: string, scopes: string[], error?: string, error_description?: string}} AuthorizationRequest */

class KeepsakeAuthorize extends HTMLElement {
  async connectedCallback() {
    const sealed = location.hash.split("/")[1] ?? "";
    const request = read(sealed);
    if (!request) return fill(this, h("h1", {}, words.title), h("p", { class: "problem", role: "alert" }, words.invalid));
    const problem = h("p", { class: "problem", role: "alert" });
    const decide = async (/** @type {boolean} */ approve) => {
      try {
        const { redirect_to } = await call("POST", "/oauth/consent", { request: sealed, approve });
        location.assign(redirect_to);
      } catch (error) {
        fill(problem, describe(error));
      }
    };
    const returns = h("p", { class: "returns" }, words.returns(placeOf(request.redirect_uri)));
    if (request.error) {
      const reason = h("p", { class: "problem", role: "alert" }, words.refused(request.client_name, request.error_description ?? request.error));
      return fill(this, h("h1", {}, words.title), reason, returns, problem, button(words.goBack, () => decide(false)));
    }
    fill(
      this,
      h("h1", {}, words.title),
      h(
        "section",
        { class: "box" },
        h("p", { class: "client" }, h("strong", {}, words.asks(request.client_name))),
        !request.client_id.startsWith("http") && h("p", {}, words.unchecked),
        h("p", { class: "project" }, words.project(await projectName())),
        h("p", {}, words.may),
        h("ul", { class: "scopes" }, request.scopes.map((scope) => h("li", {}, words.scopes[scope] ?? scope))),
        returns,
        h("p", { class: "hint" }, words.revoke),
        problem,
        h("div", { class: "row" }, button(words.allow, () => decide(true), { class: "primary" }), button(words.deny, () => decide(false))),
      ),
    );
  }
}

/** The server checks its seal; here it is only shown. @param {string} sealed @returns {AuthorizationRequest | null} */
function read(sealed) {
  try {
    const bytes = atob(sealed.split(".")[0].replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (letter) => letter.charCodeAt(0))));
  } catch {
    return null;
  }
}

/** @param {string} uri */
function placeOf(uri) {
  try {
    const { host, protocol } = new URL(uri);
    return host || protocol;
  } catch {
    return uri;
  }
}

async function projectName() {
  const projects = /** @type {Array<{id: string, name: string}>} */ (await listAll("/v1/projects"));
  const id = chosenProject() ?? (await call("GET", "/v1/ping/")).project_id;
  return projects.find((each) => each.id === id)?.name ?? id;
}

customElements.define("keepsake-authorize", KeepsakeAuthorize);
