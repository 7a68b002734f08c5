/** Memory profiles: create, edit, choose the default, delete. */

import { call, listAll } from "./api.js";
import { announce, ask, button, describe, field, fill, form, h } from "./elements.js";
import { texts } from "./texts.js";

const words = texts.profiles;

class KeepsakeProfiles extends HTMLElement {
  async connectedCallback() {
    this.list = h("ul", { class: "cards" }, h("li", {}, texts.loading));
    fill(this, h("h1", {}, words.title), h("p", {}, words.intro), this.list, this.createForm());
    await this.reload();
  }

  async reload() {
    const list = /** @type {HTMLElement} */ (this.list);
    try {
      fill(list, (await listAll("/v1/profiles")).map((each) => this.card(each)));
    } catch (error) {
      fill(list, h("li", { class: "problem", role: "alert" }, describe(error), " ", button(texts.retry, () => this.reload())));
    }
  }

  createForm() {
    const name = field(words.name, { maxlength: 200, required: true });
    const persona = field(words.persona, { rows: 3, maxlength: 20_000 }, { tag: "textarea", hint: words.personaHint });
    return h(
      "section",
      { class: "box" },
      h("h2", {}, words.create),
      form([name.row, persona.row, h("button", { class: "primary" }, words.create)], async () => {
        await call("POST", "/v1/profiles", { name: name.input.value, persona: persona.input.value || null });
        name.input.value = persona.input.value = "";
        announce(words.created);
        await this.reload();
      }),
    );
  }

  /** @param {import("./profile_choice.js").Profile} profile */
  card(profile) {
    const body = h("div", {}, profile.persona && h("p", { class: "memory-text" }, profile.persona));
    const problem = h("p", { class: "problem", role: "alert" });
    const attempt = async (/** @type {() => Promise<void>} */ work) => {
      try {
        await work();
        await this.reload();
      } catch (error) {
        fill(problem, describe(error));
      }
    };
    const path = `/v1/profiles/${profile.id}`;
    return h(
      "li",
      { class: "card" },
      h("h2", {}, profile.name, " ", profile.is_default && h("span", { class: "tag" }, words.isDefault)),
      body,
      h(
        "div",
        { class: "actions" },
        button(words.edit, () => fill(body, this.editForm(profile)), { class: "small", "aria-label": `${words.edit}: ${profile.name}` }),
        !profile.is_default && button(words.makeDefault, () => attempt(() => call("POST", `${path}/default`)), { class: "small", "aria-label": `${words.makeDefault}: ${profile.name}` }),
        button(words.delete, () => this.deleteProfile(profile, attempt), { class: "small", "aria-label": `${words.delete}: ${profile.name}` }),
      ),
      problem,
    );
  }

  /** @param {import("./profile_choice.js").Profile} profile @param {(work: () => Promise<void>) => Promise<void>} attempt */
  async deleteProfile(profile, attempt) {
    const body = [h("blockquote", {}, profile.name), h("p", {}, words.deleteBody)];
    if (await ask({ title: words.deleteTitle, body, agree: words.delete, cancel: texts.cancel, danger: true })) {
      await attempt(() => call("DELETE", `/v1/profiles/${profile.id}`));
    }
  }

  /** @param {import("./profile_choice.js").Profile} profile */
  editForm(profile) {
    const name = field(words.name, { maxlength: 200, required: true, value: profile.name });
    const persona = field(words.persona, { rows: 3, maxlength: 20_000 }, { tag: "textarea", hint: words.personaHint });
    persona.input.value = profile.persona ?? "";
    const actions = h("div", { class: "actions" }, h("button", { class: "primary" }, texts.save), button(texts.cancel, () => this.reload()));
    return form([name.row, persona.row, actions], async () => {
      await call("PATCH", `/v1/profiles/${profile.id}`, { name: name.input.value, persona: persona.input.value || null });
      announce(words.saved);
      await this.reload();
    });
  }
}

customElements.define("keepsake-profiles", KeepsakeProfiles);
