/** The second factors of the account: list, add with a QR code, remove. */

import { call, keepSession } from "../api.js";
import { announce, ask, button, dateText, describe, field, fill, form, h } from "../elements.js";
import { copyButton } from "../start/quickstart.js";
import { texts } from "../texts.js";

const words = texts.account;
/** @typedef {{id: string, name: string | null, is_verified: boolean}} Factor */

export class SecondFactors {
  constructor() {
    this.element = h("div", {}, texts.loading);
    void this.reload();
  }

  async reload() {
    try {
      const factors = /** @type {Factor[]} */ (await call("GET", "/v1/auth/mfa/factors"));
      const verified = factors.filter((each) => each.is_verified);
      const list = verified.length ? h("ul", { class: "cards" }, verified.map((each) => this.item(each))) : h("p", {}, words.noFactor);
      fill(this.element, list, button(words.addFactor, () => this.attempt(() => this.enroll())));
    } catch (error) {
      fill(this.element, h("p", { class: "problem", role: "alert" }, describe(error)), button(texts.retry, () => this.reload()));
    }
  }

  /** @param {() => Promise<void>} work */
  async attempt(work) {
    try {
      await work();
    } catch (error) {
      this.element.append(h("p", { class: "problem", role: "alert" }, describe(error)));
    }
  }

  /** @param {Factor} factor */
  item(factor) {
    const remove = async () => {
      if (!(await ask({ title: words.removeFactorTitle, body: words.removeFactorBody, agree: words.removeFactor, cancel: texts.cancel, danger: true }))) return;
      await this.attempt(async () => {
        await call("DELETE", `/v1/auth/mfa/factors/${factor.id}`);
        await this.reload();
      });
    };
    return h("li", {}, h("p", {}, factor.name || words.factorOn), button(words.removeFactor, remove, { class: "small" }));
  }

  async enroll() {
    const made = await call("POST", "/v1/auth/mfa/factors", { name: `${words.factorOn} (${dateText(new Date().toISOString())})` });
    const code = field(texts.signIn.code, { inputmode: "numeric", autocomplete: "one-time-code", maxlength: 6, required: true });
    const actions = h("div", { class: "actions" }, h("button", { class: "primary" }, words.confirmFactor), button(texts.cancel, () => this.cancel(made.id)));
    fill(
      this.element,
      h("p", {}, words.scan),
      h("img", { class: "qr", src: made.qr_code, alt: words.qrCode }),
      h("p", {}, h("code", { class: "factor-secret", tabindex: 0 }, made.secret)),
      h("div", { class: "actions" }, copyButton(made.secret, texts.account.factors, words.copySecret), h("a", { href: made.uri }, words.openInApp)),
      form([code.row, actions], async () => {
        keepSession(await call("POST", "/v1/auth/mfa/verify", { factor_id: made.id, code: code.input.value }));
        announce(words.factorAdded);
        await this.reload();
      }),
    );
    code.input.focus();
  }

  /** @param {string} factorId */
  async cancel(factorId) {
    await this.attempt(async () => {
      await call("DELETE", `/v1/auth/mfa/factors/${factorId}`);
      await this.reload();
    });
  }
}
