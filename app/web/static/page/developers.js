/** API keys, and the lines that use one. */

import { call, listAll } from "./api.js";
import { ask, button, dateText, describe, field, fill, form, h } from "./elements.js";
import { quickstart, secretBox } from "./quickstart.js";
import { texts } from "./texts.js";

const words = texts.developers;
const DAY = 86_400_000;

class KeepsakeDevelopers extends HTMLElement {
  async connectedCallback() {
    this.list = h("ul", { class: "cards" }, h("li", {}, texts.loading));
    this.issued = h("div", { role: "status" });
    fill(
      this,
      h("h1", {}, words.title),
      h("section", {}, h("h2", {}, words.keys), this.createForm(), this.issued, this.list),
      h("section", {}, h("h2", {}, words.quickstart), quickstart("ks_…"), h("p", {}, h("a", { href: "docs" }, words.docs))),
    );
    await this.reload();
  }

  async reload() {
    const list = /** @type {HTMLElement} */ (this.list);
    try {
      const keys = await listAll("/v1/api-keys");
      fill(list, keys.length ? keys.map((each) => this.card(each)) : h("li", { class: "hint" }, words.none));
    } catch (error) {
      fill(list, h("li", { class: "problem", role: "alert" }, describe(error), " ", button(texts.retry, () => this.reload())));
    }
  }

  createForm() {
    const name = field(words.keyName, { maxlength: 200, required: true });
    const options = Object.entries(words.expiries).map(([value, label]) => h("option", { value }, label));
    const expiry = h("select", {}, options.sort((a, b) => Number(a.getAttribute("value")) - Number(b.getAttribute("value"))));
    return form(
      [name.row, h("label", { class: "inline" }, words.expires, expiry), h("button", { class: "primary" }, words.create)],
      async () => {
        const days = Number(/** @type {HTMLSelectElement} */ (expiry).value);
        const ends = days ? { expires_at: new Date(Date.now() + days * DAY).toISOString() } : {};
        this.show(await call("POST", "/v1/api-keys", { name: name.input.value, ...ends }));
        name.input.value = "";
        await this.reload();
      },
      { class: "row" },
    );
  }

  /** @param {{key: string}} issued */
  show(issued) {
    fill(/** @type {HTMLElement} */ (this.issued), secretBox(words.keyOnce, issued.key), quickstart(issued.key));
  }

  /** @param {any} key */
  card(key) {
    const problem = h("p", { class: "problem", role: "alert" });
    const attempt = async (/** @type {() => Promise<void>} */ work) => work().catch((error) => fill(problem, describe(error)));
    const path = `/v1/api-keys/${key.id}`;
    const facts = [
      `${words.by} ${key.created_by?.email ?? (key.created_by ? key.created_by.account_id : words.operator)}`,
      `${words.lastUse}: ${dateText(key.last_used_at) || words.never}`,
      key.expires_at && `${words.expiresAt} ${dateText(key.expires_at)}`,
    ];
    return h(
      "li",
      { class: "card" },
      h("h3", {}, key.name, " ", h("code", {}, `${key.prefix}…`), key.revoked_at && h("span", { class: "tag" }, words.revoked)),
      h("p", { class: "facts" }, facts.filter(Boolean).map((each) => h("span", {}, each))),
      h("p", { class: "facts" }, key.scopes.map((/** @type {string} */ each) => h("span", { class: "tag" }, each))),
      !key.revoked_at &&
        h(
          "div",
          { class: "actions" },
          button(words.rotate, () => attempt(async () => {
            if (!(await ask({ title: words.rotateTitle, body: words.rotateBody, agree: words.rotate, cancel: texts.cancel }))) return;
            this.show(await call("POST", `${path}/rotate`, {}));
            await this.reload();
          }), { class: "small", "aria-label": `${words.rotate}: ${key.name}` }),
          button(words.revoke, () => attempt(async () => {
            const body = [h("blockquote", {}, key.name), h("p", {}, words.revokeBody)];
            if (!(await ask({ title: words.revokeTitle, body, agree: words.revoke, cancel: texts.cancel, danger: true }))) return;
            await call("DELETE", path);
            await this.reload();
          }), { class: "small", "aria-label": `${words.revoke}: ${key.name}` }),
        ),
      problem,
    );
  }
}

customElements.define("keepsake-developers", KeepsakeDevelopers);
