/** Sign in, sign up, ask for a link to set a new password, and set it. */

import { call, hasCookie, keepSession } from "./api.js";
import { button, field, fill, form, h } from "./elements.js";
import { texts } from "./texts.js";

const words = texts.signIn;

class KeepsakeSignIn extends HTMLElement {
  connectedCallback() {
    this.show(this.getAttribute("step") ?? "sign-in", this.getAttribute("message") ?? "");
  }

  /** @param {string} step @param {string} [message] */
  show(step, message = "") {
    const views = {
      "sign-in": () => this.signIn(),
      "sign-up": () => this.signUp(),
      recover: () => this.recover(),
      "new-password": () => this.newPassword(),
    };
    const [title, ...content] = views[/** @type {keyof typeof views} */ (step)]();
    fill(
      this,
      h("p", { class: "brand large" }, h("img", { src: "page/icon.svg", alt: "", width: 40, height: 40 }), texts.name),
      h("p", { class: "tagline" }, texts.tagline),
      h("h1", {}, title),
      h("p", { class: "notice", role: "status" }, message),
      ...content,
    );
    this.querySelector("input")?.focus();
  }

  /** @returns {[string, ...Node[]]} */
  signIn() {
    const email = field(words.email, { type: "email", autocomplete: "username", required: true });
    const password = field(words.password, { type: "password", autocomplete: "current-password", required: true });
    const stay = field(words.stay, { type: "checkbox" }, { hint: hasCookie() ? words.storedInCookie : words.stored });
    stay.row.classList.add("check");
    return [
      words.title,
      form([email.row, password.row, stay.row, submitButton(words.submit)], async () => {
        const session = await call("POST", "/v1/auth/login", { email: email.input.value, password: password.input.value }, { stay: stay.input.checked });
        const factor = session.second_factor_required && session.user.factors?.find((/** @type {any} */ each) => each.is_verified);
        if (factor) this.askForCode(session, stay.input.checked, factor.id);
        else this.enter(session, stay.input.checked, false);
      }),
      this.links(["sign-up", words.toSignUp], ["recover", words.toRecover]),
    ];
  }

  /** @param {import("./api.js").Session} session @param {boolean} stay @param {string} factorId */
  askForCode(session, stay, factorId) {
    keepSession(session, stay);
    const code = field(words.code, { inputmode: "numeric", autocomplete: "one-time-code", maxlength: 6, required: true });
    fill(
      this,
      h("h1", {}, words.codeTitle),
      form([code.row, submitButton(words.codeSubmit)], async () => {
        this.enter(await call("POST", "/v1/auth/mfa/verify", { factor_id: factorId, code: code.input.value }, { stay }), stay, false);
      }),
      h("p", { class: "actions" }, button(words.codeLater, () => this.enter(session, stay, false), { class: "link" })),
      h("p", { class: "hint" }, words.codeLaterHint),
    );
    code.input.focus();
  }

  /** @returns {[string, ...Node[]]} */
  signUp() {
    const email = field(words.email, { type: "email", autocomplete: "username", required: true });
    const password = field(words.newPassword, { type: "password", autocomplete: "new-password", required: true, minlength: 8 });
    const stay = field(words.stay, { type: "checkbox" }, { hint: hasCookie() ? words.storedInCookie : words.stored });
    stay.row.classList.add("check");
    return [
      words.signUpTitle,
      form([email.row, password.row, stay.row, submitButton(words.signUpSubmit)], async () => {
        const session = await call("POST", "/v1/auth/signup", { email: email.input.value, password: password.input.value }, { stay: stay.input.checked });
        if (session.access_token) this.enter(session, stay.input.checked, true);
        else this.show("sign-in", words.confirm);
      }),
      this.links(["sign-in", words.toSignIn]),
    ];
  }

  /** @returns {[string, ...Node[]]} */
  recover() {
    const email = field(words.email, { type: "email", autocomplete: "username", required: true });
    return [
      words.recoverTitle,
      h("p", { class: "hint" }, words.recoverHint),
      form([email.row, submitButton(words.recoverSubmit)], async () => {
        await call("POST", "/v1/auth/recover", { email: email.input.value });
        this.show("sign-in", words.recoverSent);
      }),
      this.links(["sign-in", words.toSignIn]),
    ];
  }

  /** @returns {[string, ...Node[]]} */
  newPassword() {
    const password = field(words.newPassword, { type: "password", autocomplete: "new-password", required: true, minlength: 8 });
    return [
      words.newPasswordTitle,
      form([password.row, submitButton(words.newPasswordSubmit)], async () => {
        await call("PATCH", "/v1/auth/me", { password: password.input.value });
        this.dispatchEvent(new CustomEvent("signed-in", { detail: { isNew: false } }));
      }),
    ];
  }

  /** @param {import("./api.js").Session} session @param {boolean} stay @param {boolean} isNew */
  enter(session, stay, isNew) {
    keepSession(session, stay);
    this.dispatchEvent(new CustomEvent("signed-in", { detail: { isNew } }));
  }

  /** @param {...[string, string]} steps */
  links(...steps) {
    return h("p", { class: "actions" }, ...steps.map(([step, label]) => button(label, () => this.show(step), { class: "link" })));
  }
}

/** @param {string} label */
function submitButton(label) {
  return h("button", { class: "primary" }, label);
}

customElements.define("keepsake-sign-in", KeepsakeSignIn);
