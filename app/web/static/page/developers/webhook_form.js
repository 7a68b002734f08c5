/** The name, the URL and the event types of a webhook. */

import { button, field, form, h } from "../elements.js";
import { texts } from "../texts.js";
import { checkboxes } from "./fields.js";

const words = texts.developers.webhooks;

/**
 * @param {{name: string, url: string, event_types: string[]}} webhook
 * @param {string} label
 * @param {(values: Record<string, unknown>) => Promise<void>} save
 * @param {() => void} [close]
 */
export function webhookForm(webhook, label, save, close) {
  const name = field(words.name, { maxlength: 200, required: true, value: webhook.name, autocomplete: "off" });
  const url = field(words.url, { type: "url", maxlength: 2000, required: true, value: webhook.url, autocomplete: "off" }, { hint: words.urlHint });
  const options = Object.entries(words.events).map(([value, { label: text, hint }]) => ({ value, label: text, hint }));
  const events = checkboxes(words.eventTypes, options, webhook.event_types);
  const actions = h("div", { class: "actions" }, h("button", { class: "primary" }, label), close && button(texts.cancel, close));
  return form([name.row, url.row, events.row, actions], async () => {
    const chosen = events.chosen();
    if (!chosen.length) throw new Error(words.noEvent);
    await save({ name: name.input.value, url: url.input.value, event_types: chosen });
  });
}
