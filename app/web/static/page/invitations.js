/** Invitations to this account, shown above every view until they are answered. */

import { call, chooseProject, listAll } from "./api.js";
import { announce, button, dateText, describe, field, fill, form, h } from "./elements.js";
import { texts } from "./texts.js";

const words = texts.invitations;

/** @typedef {{id: string, role: "OWNER" | "READER" | "USER", project_id: string | null, name: string | null, invited_by: string | null, token_required: boolean, expires_at: string}} Received */

/** From the link of an invitation: it is needed after signing in, and stays in the memory of this tab. @type {Map<string, string>} */
const tokens = new Map();

/** A link to an invitation has its token after the #. It is taken out of the address. Returns whether there was one. */
export function takeInvitation() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const id = fragment.get("invitation");
  if (!id) return false;
  tokens.set(id, fragment.get("invitation_token") ?? "");
  history.replaceState(null, "", location.pathname);
  return true;
}

/** @param {string} email of this account @param {() => Promise<void>} accepted */
export function receivedInvitations(email, accepted) {
  const place = h("section", { class: "invitations", "aria-label": words.title });
  load(place, email, accepted).catch((error) => fill(place, h("p", { class: "problem", role: "alert" }, describe(error))));
  return place;
}

/** @param {HTMLElement} place @param {string} email @param {() => Promise<void>} accepted */
async function load(place, email, accepted) {
  const found = /** @type {Received[]} */ (await listAll("/v1/invitations/received"));
  const isLost = [...tokens.keys()].some((id) => !found.some((each) => each.id === id));
  tokens.forEach((_, id) => found.some((each) => each.id === id) || tokens.delete(id));
  fill(place, isLost && h("p", { class: "box invitation" }, words.notFound(email)), ...found.map((each) => card(each, accepted)));
}

/** @param {Received} invitation @param {() => Promise<void>} accepted */
function card(invitation, accepted) {
  const known = tokens.get(invitation.id);
  const path = `/v1/invitations/${invitation.id}`;
  const token = field(words.token, { required: true, autocomplete: "off", value: known ?? "" }, { hint: words.tokenHint });
  const answer = () => (invitation.token_required || known ? { token: token.input.value.trim() } : {});
  const isAsked = invitation.token_required && !known;
  const element = form(
    [
      h("p", {}, h("strong", {}, sentence(invitation)), " ", words.means[invitation.role]),
      h("p", { class: "hint" }, words.until, " ", dateText(invitation.expires_at)),
      isAsked && token.row,
      h(
        "div",
        { class: "actions" },
        h("button", { class: "primary" }, words.accept),
        button(words.decline, () => decline(), {}),
      ),
    ],
    async () => {
      const result = await call("POST", `${path}/accept`, answer());
      tokens.delete(invitation.id);
      if (result.project_id) chooseProject(result.project_id);
      await accepted();
      announce(words.accepted);
    },
    { class: "box invitation" },
  );
  const problem = h("p", { class: "problem", role: "alert" });
  const decline = async () => {
    try {
      await call("POST", `${path}/decline`, answer());
      announce(words.declined);
      element.remove();
    } catch (error) {
      fill(problem, describe(error));
    }
  };
  element.append(problem);
  return element;
}

/** Without the token, an address that is not confirmed does not show who invites to what. @param {Received} invitation */
function sentence(invitation) {
  const kind = invitation.project_id ? "project" : "organization";
  return words.sentence[kind](invitation.invited_by, invitation.name);
}
