/** Invites a person by e-mail address. */

import { call } from "../api.js";
import { field, fill, form, h } from "../elements.js";
import { secretBox } from "../start/quickstart.js";
import { texts } from "../texts.js";
import { choice } from "./fields.js";
import { showNew } from "./loaded.js";
import { roleOptions } from "./members.js";

const words = texts.developers.members;

/** @param {import("./members.js").Group} group @param {() => Promise<void>} done */
export function inviteForm(group, done) {
  const email = field(words.email, { type: "email", required: true, autocomplete: "off" });
  const role = choice(words.role, roleOptions(group), { value: "READER" });
  const sent = h("div", { class: "sent", role: "status" });
  const element = form([h("div", { class: "row" }, email.row, role.row, h("button", { class: "primary" }, words.invite))], async () => {
    const invitation = await call("POST", "/v1/invitations", { email: email.input.value, role: role.input.value, [`${group.kind}_id`]: group.id });
    fill(sent, invitation.token ? [h("p", {}, words.passOn(invitation.email)), secretBox(words.link, linkTo(invitation))] : h("p", {}, words.mailed(invitation.email)));
    email.input.value = "";
    showNew(sent);
    await done();
  });
  return h("div", { class: "box" }, element, sent);
}

/** What is after the # stays in the browser. @param {{id: string, token: string}} invitation */
function linkTo(invitation) {
  return `${location.origin}${location.pathname}#${new URLSearchParams({ invitation: invitation.id, invitation_token: invitation.token })}`;
}
