/** Dialogs that ask for values. */

import { button, form, h } from "../elements.js";
import { texts } from "../texts.js";

let lastId = 0;

/**
 * Resolves when `submit` has succeeded or the person has cancelled. What `submit` throws is shown in the dialog, which stays open.
 * @param {{title: string, body: import("../elements.js").Child[], agree: string, danger?: boolean}} question
 * @param {() => Promise<void>} submit
 * @returns {Promise<boolean>} whether it succeeded
 */
export function askForm({ title, body, agree, danger = false }, submit) {
  return new Promise((resolve) => {
    const id = `form-dialog-${(lastId += 1)}`;
    const actions = h("div", { class: "actions" }, button(texts.cancel, () => dialog.close("no")), h("button", { class: danger ? "danger" : "primary" }, agree));
    const content = form([...body, actions], async () => {
      await submit();
      dialog.close("yes");
    });
    const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-labelledby": id }, h("h2", { id }, title), content));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
