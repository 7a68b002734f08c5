/** Dialogs that ask for values. */

import { button, form, h, openDialog } from "../elements.js";
import { texts } from "../texts.js";

/**
 * Resolves when `submit` has succeeded or the person has cancelled. What `submit` throws is shown in the dialog, which stays open.
 * @param {{title: string, body: import("../elements.js").Child[], agree: string, danger?: boolean}} question
 * @param {() => Promise<void>} submit
 * @returns {Promise<boolean>} whether it succeeded
 */
export function askForm({ title, body, agree, danger = false }, submit) {
  return openDialog(title, (close) => {
    const actions = h("div", { class: "actions" }, button(texts.cancel, () => close(false)), h("button", { class: danger ? "danger" : "primary" }, agree));
    const content = form([...body, actions], async () => {
      await submit();
      close(true);
    });
    return [content];
  });
}
