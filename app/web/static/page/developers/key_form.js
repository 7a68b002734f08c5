/** What a new key is called, what it may do, and when it ends. */

import { call } from "../api.js";
import { field, form, h } from "../elements.js";
import { texts } from "../texts.js";
import { checkboxes, choice } from "./fields.js";

const words = texts.developers;
const DAY = 86_400_000;
/** What an application needs: everything except keys and administration. */
const DEFAULT_SCOPES = ["memories:read", "memories:write", "profiles:read", "profiles:write", "sessions:read", "sessions:write", "projects:read", "projects:write"];

/** @param {(key: any) => Promise<void>} done */
export function keyForm(done) {
  const name = field(words.keyName, { maxlength: 200, required: true, autocomplete: "off" });
  const expiry = choice(words.expires, words.expiries);
  const scopes = checkboxes(words.scopes, Object.entries(words.scopeNames).map(([value, hint]) => ({ value, label: value, hint })), DEFAULT_SCOPES);
  return form(
    [
      h("div", { class: "row" }, name.row, expiry.row, h("button", { class: "primary" }, words.create)),
      h("details", {}, h("summary", {}, words.chooseScopes), scopes.row),
    ],
    async () => {
      const days = Number(expiry.input.value);
      const chosen = scopes.chosen();
      if (!chosen.length) throw new Error(words.noScope);
      const key = await call("POST", "/v1/api-keys", { name: name.input.value, scopes: chosen, expires_at: days ? new Date(Date.now() + days * DAY).toISOString() : null });
      name.input.value = "";
      await done(key);
    },
    { class: "box" },
  );
}

/** @param {string[]} scopes */
export function scopeSummary(scopes) {
  const isDefault = scopes.length === DEFAULT_SCOPES.length && DEFAULT_SCOPES.every((each) => scopes.includes(each));
  if (isDefault) return h("p", { class: "hint" }, words.defaultScopes);
  return h("p", { class: "facts" }, words.mayUse, scopes.map((each) => h("span", { class: "tag" }, each)));
}
