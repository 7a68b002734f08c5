/** The signed-in account: address, password, sessions, deletion. */

import { call, forgetSession, ownUserId } from "../api.js";
import { dataTransfer } from "./data_transfer.js";
import { announce, ask, button, describe, field, fill, form, h } from "../elements.js";
import { ownGrants } from "./grants.js";
import { receiptLookup, receiptOf } from "./receipt.js";
import { SecondFactors } from "./second_factors.js";
import { texts } from "../texts.js";

const words = texts.account;

class KeepsakeAccount extends HTMLElement {
  async connectedCallback() {
    fill(this, h("h1", {}, words.title), h("p", { role: "status" }, texts.loading));
    try {
      const account = await call("GET", "/v1/auth/me");
      fill(this, h("h1", {}, words.title), this.emailForm(account), this.passwordForm(), section(words.factors, new SecondFactors().element), this.sessions(), section(words.grants, ownGrants()), section(words.portability, h("p", {}, words.portabilityBody), ...dataTransfer(ownUserId())), this.erasure(), this.deletion());
    } catch (error) {
      fill(this, h("p", { class: "problem", role: "alert" }, describe(error)), button(texts.retry, () => this.connectedCallback()));
    }
  }

  /** @param {import("../api.js").Account} account */
  emailForm(account) {
    const email = field(words.email, { type: "email", autocomplete: "email", value: account.email, required: true }, { hint: account.new_email ? `${words.emailPending} (${account.new_email})` : undefined });
    return section(
      words.email,
      form([email.row, h("button", {}, words.changeEmail)], async () => {
        const changed = await call("PATCH", "/v1/auth/me", { email: email.input.value });
        announce(changed.new_email ? words.emailPending : words.emailChanged);
        await this.connectedCallback();
      }),
    );
  }

  passwordForm() {
    const current = field(words.currentPassword, { type: "password", autocomplete: "current-password", required: true });
    const password = field(words.password, { type: "password", autocomplete: "new-password", required: true, minlength: 8 });
    return section(
      words.changePassword,
      form([current.row, password.row, h("button", {}, words.changePassword)], async () => {
        await call("PATCH", "/v1/auth/me", { password: password.input.value, current_password: current.input.value });
        current.input.value = password.input.value = "";
        announce(words.passwordChanged);
      }),
    );
  }

  sessions() {
    const problem = h("p", { class: "problem", role: "alert" });
    /** @param {string} scope */
    const leave = async (scope) => {
      try {
        await call("POST", "/v1/auth/logout", { scope });
        this.leave("");
      } catch (error) {
        fill(problem, describe(error));
      }
    };
    return section(words.sessions, h("div", { class: "actions" }, button(words.signOut, () => leave("local")), button(words.signOutEverywhere, () => leave("global"))), problem);
  }

  erasure() {
    const place = h("div", { role: "status" });
    const erase = async () => {
      const agreed = await ask({ title: words.eraseTitle, body: words.eraseBody, agree: words.eraseConfirm, cancel: texts.cancel, danger: true });
      if (!agreed) return;
      try {
        const { receipt } = await call("POST", "/v1/erase", { user_id: ownUserId() });
        fill(place, receiptOf(receipt));
      } catch (error) {
        fill(place, h("p", { class: "problem", role: "alert" }, describe(error)));
      }
    };
    return section(words.erase, h("p", {}, words.eraseBody), button(words.eraseButton, erase, { class: "danger" }), place, receiptLookup());
  }

  deletion() {
    const problem = h("p", { class: "problem", role: "alert" });
    const remove = async () => {
      const agreed = await ask({ title: words.deleteTitle, body: words.dangerBody, agree: words.deleteConfirm, cancel: texts.cancel, danger: true });
      if (!agreed) return;
      try {
        await call("DELETE", "/v1/auth/me");
        this.leave(words.deleted);
      } catch (error) {
        fill(problem, describe(error));
      }
    };
    return section(words.danger, h("p", {}, words.dangerBody), button(words.delete, remove, { class: "danger" }), problem);
  }

  /** @param {string} message */
  leave(message) {
    forgetSession();
    this.dispatchEvent(new CustomEvent("signed-out", { detail: message }));
  }
}

/** @param {string} title @param {...Node} content */
function section(title, ...content) {
  return h("section", { class: "box" }, h("h2", {}, title), ...content);
}

customElements.define("keepsake-account", KeepsakeAccount);
