/** Legal holds: users whose data neither rules nor erasures remove. */

import { call, listAll } from "../../api.js";
import { announce, ask, field, form, h, time } from "../../elements.js";
import { texts } from "../../texts.js";
import { actionRow, Loaded } from "../loaded.js";

const words = texts.developers.holds;

/** @typedef {{user_id: string, reason: string | null, created_at: string}} Hold */

/** @param {boolean} isOwner */
export function holds(isOwner) {
  /** @type {Loaded} */
  const list = new Loaded(async () => {
    const found = /** @type {Hold[]} */ (await listAll("/v1/admin/holds"));
    return found.length ? h("ul", { class: "cards" }, found.map((each) => card(each, isOwner, list))) : h("p", { class: "empty" }, words.none);
  });
  return { list, element: h("section", {}, h("h2", {}, words.title), h("p", {}, words.intro), list.element, isOwner && holdForm(list)) };
}

/** @param {Loaded} list */
function holdForm(list) {
  const user = field(words.user, { required: true, maxlength: 500, autocomplete: "off" });
  const reason = field(words.reason, { maxlength: 2000, autocomplete: "off" });
  return form([h("div", { class: "row" }, user.row, reason.row, h("button", {}, words.place))], async () => {
    await call("PUT", path(user.input.value), { reason: reason.input.value || null });
    user.input.value = reason.input.value = "";
    announce(words.placed);
    await list.reload();
  }, { class: "box" });
}

/** @param {Hold} hold @param {boolean} isOwner @param {Loaded} list */
function card(hold, isOwner, list) {
  const lift = async () => {
    if (!(await ask({ title: words.liftTitle, body: [h("blockquote", {}, hold.user_id), h("p", {}, words.liftBody)], agree: words.lift, cancel: texts.cancel }))) return;
    await call("DELETE", path(hold.user_id));
    announce(words.lifted);
    await list.reload();
  };
  return h("li", { class: "card" }, h("h3", {}, hold.user_id), h("p", { class: "facts" }, h("span", {}, words.since, " ", time(hold.created_at)), hold.reason && h("span", {}, hold.reason)), isOwner && actionRow(hold.user_id, [[words.lift, lift]]));
}

/** @param {string} userId */
function path(userId) {
  return `/v1/admin/holds/${encodeURIComponent(userId)}`;
}
