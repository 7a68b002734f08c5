/** The views for developers, each with an address of its own, such as `#developers/webhooks`. */

import { call, chosenProject } from "../api.js";
import { fill, h } from "../elements.js";
import { texts } from "../texts.js";
import { Loaded } from "./loaded.js";

const words = texts.developers;

/**
 * `organization_id` is null for end users.
 * @typedef {{id: string, name: string, description: string | null, organization_id: string | null, role: "OWNER" | "READER" | "USER"}} Project
 */
/** Everything is read before it is shown, so that nothing moves under the pointer. @typedef {(project: Project, rest: string) => Promise<Node[]>} View */

/** @type {Record<string, () => Promise<{show: View}>>} */
const VIEWS = {
  keys: () => import("./keys.js"),
  webhooks: () => import("./webhooks.js"),
  events: () => import("./events.js"),
  members: () => import("./members.js"),
  retention: () => import("./project/retention.js"),
  project: () => import("./project/project.js"),
};
/** @type {Array<"keys" | "webhooks" | "events" | "members" | "retention" | "project">} */
const TABS = ["keys", "webhooks", "events", "members", "retention", "project"];

class KeepsakeDevelopers extends HTMLElement {
  connectedCallback() {
    const [, chosen = "", rest = ""] = location.hash.slice(1).split("/");
    const name = chosen in VIEWS ? chosen : "keys";
    const links = TABS.map((each) => h("li", {}, h("a", { href: `#developers/${each}`, "aria-current": each === name && "page" }, words.tabs[each])));
    const view = new Loaded(() => this.load(name, decodeURIComponent(rest)));
    fill(this, h("h1", {}, words.title), h("nav", { class: "tabs", "aria-label": words.title }, h("ul", {}, links)), view.element);
    return view.reload();
  }

  /** @param {string} name @param {string} rest */
  async load(name, rest) {
    const [module, project] = await Promise.all([VIEWS[name](), loadProject()]);
    if (project.role === "USER") return h("p", {}, words.noAccess);
    return [project.role === "READER" && h("p", { class: "box" }, words.readOnly), ...(await module.show(project, rest))];
  }
}

/** @returns {Promise<Project>} */
async function loadProject() {
  const id = chosenProject() ?? (await call("GET", "/v1/ping/")).project_id;
  return call("GET", `/v1/projects/${id}`);
}

customElements.define("keepsake-developers", KeepsakeDevelopers);
