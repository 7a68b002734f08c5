/** Asks for the six digits when the server needs them, so that what was asked goes on. */

import { call, keepSession } from "../api.js";
import { askForm } from "../developers/dialog.js";
import { field, h } from "../elements.js";
import { texts } from "../texts.js";

const words = texts.factor;

/** Resolves with whether the session has confirmed the second factor. @returns {Promise<boolean>} */
export async function confirmFactor() {
  const factors = /** @type {Array<{id: string, is_verified: boolean}>} */ (await call("GET", "/v1/auth/mfa/factors"));
  const factor = factors.find((each) => each.is_verified);
  if (!factor) return false;
  const code = field(texts.signIn.code, { inputmode: "numeric", autocomplete: "one-time-code", maxlength: 6, required: true });
  return askForm({ title: words.title, body: [h("p", {}, words.body), code.row], agree: texts.signIn.codeSubmit }, async () => {
    keepSession(await call("POST", "/v1/auth/mfa/verify", { factor_id: factor.id, code: code.input.value.trim() }));
  });
}
