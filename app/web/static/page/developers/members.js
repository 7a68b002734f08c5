/** Who may use the project and its organization, and who is invited. */

import { call, listAll, ownUserId } from "../api.js";
import { announce, ask, dateText, h } from "../elements.js";
import { texts } from "../texts.js";
import { askForm } from "./dialog.js";
import { choice } from "./fields.js";
import { inviteForm } from "./invite_form.js";
import { actionRow, Loaded } from "./loaded.js";

const words = texts.developers.members;

/** @typedef {{account_id: string, email: string | null, role: "OWNER" | "READER" | "USER", inherited?: boolean, created_at: string}} Member */
/** @typedef {{id: string, email: string, role: "OWNER" | "READER" | "USER", status: "pending" | "accepted" | "declined" | "withdrawn" | "expired", invited_by: string | null, expires_at: string}} Invitation */
/** @typedef {{kind: "project" | "organization", id: string, name: string, isOwner: boolean}} Group a project or an organization */

/** @param {import("./developers.js").Project} project */
export async function show(project) {
  const ofProject = new Members({ kind: "project", id: project.id, name: project.name, isOwner: project.role === "OWNER" });
  const ofOrganization = new Loaded(() => organizationMembers(project.organization_id));
  await Promise.all([ofProject.load(), ofOrganization.reload()]);
  return [h("h2", {}, words.title), ofProject.element, ofOrganization.element];
}

/** A member of the project only does not see its organization. @param {string | null} id */
async function organizationMembers(id) {
  const mine = (await listAll("/v1/organizations")).find((each) => each.id === id);
  if (!mine) return null;
  const members = new Members({ kind: "organization", id: mine.id, name: mine.name, isOwner: mine.role === "OWNER" });
  await members.load();
  return members.element;
}

class Members {
  /** @param {Group} group */
  constructor(group) {
    this.group = group;
    this.path = `/v1/${group.kind}s/${group.id}/members`;
    this.members = new Loaded(() => this.readMembers());
    this.invitations = new Loaded(() => this.readInvitations());
    this.element = h(
      "section",
      {},
      h("h3", {}, words.of[group.kind](group.name)),
      h("p", { class: "hint" }, words.means[group.kind]),
      this.members.element,
      group.isOwner && inviteForm(group, () => this.invitations.reload()),
      group.isOwner && this.invitations.element,
    );
  }

  async load() {
    await Promise.all([this.members.reload(), this.group.isOwner && this.invitations.reload()]);
  }

  async readMembers() {
    const members = /** @type {Member[]} */ (await listAll(this.path));
    return h("ul", { class: "cards", "aria-label": words.of[this.group.kind](this.group.name) }, members.map((each) => this.memberCard(each)));
  }

  /** @param {Member} member */
  memberCard(member) {
    const isOwn = member.account_id === ownUserId();
    const name = member.email ?? member.account_id;
    const mayChange = this.group.isOwner && !member.inherited;
    return h(
      "li",
      { class: "card" },
      h("p", {}, h("strong", {}, name), isOwn && ` (${words.you})`, " ", h("span", { class: "tag" }, words.roles[member.role])),
      member.inherited && h("p", { class: "hint" }, words.inherited),
      actionRow(name, [
        mayChange && !isOwn && [words.changeRole, () => this.changeRole(member, name)],
        !member.inherited && (mayChange || isOwn) && [isOwn ? words.leave : words.remove, () => this.remove(member, name, isOwn)],
      ]),
    );
  }

  /** @param {Member} member @param {string} name */
  async changeRole(member, name) {
    const role = choice(words.role, roleOptions(this.group), { value: member.role });
    const changed = await askForm({ title: words.changeRoleTitle, body: [h("blockquote", {}, name), role.row], agree: texts.save }, async () => {
      await call("PATCH", `${this.path}/${member.account_id}`, { role: role.input.value });
    });
    if (!changed) return;
    announce(words.roleChanged);
    await this.members.reload();
  }

  /** @param {Member} member @param {string} name @param {boolean} isOwn */
  async remove(member, name, isOwn) {
    const title = isOwn ? words.leaveTitle : words.removeTitle;
    const body = [h("blockquote", {}, isOwn ? this.group.name : name), h("p", {}, isOwn ? words.leaveBody : words.removeBody)];
    if (!(await ask({ title, body, agree: isOwn ? words.leave : words.remove, cancel: texts.cancel, danger: true }))) return;
    await call("DELETE", `${this.path}/${member.account_id}`);
    if (isOwn) return location.reload();
    announce(words.removed);
    await this.members.reload();
  }

  async readInvitations() {
    const all = /** @type {Invitation[]} */ (await listAll(`/v1/invitations?${this.group.kind}_id=${this.group.id}`));
    const open = all.filter((each) => each.status !== "accepted" && each.status !== "withdrawn");
    if (!open.length) return null;
    return [h("h4", {}, words.invitations), h("ul", { class: "cards", "aria-label": words.invitations }, open.map((each) => this.invitationCard(each)))];
  }

  /** @param {Invitation} invitation */
  invitationCard(invitation) {
    const isPending = invitation.status === "pending";
    return h(
      "li",
      { class: "card" },
      h("p", {}, h("strong", {}, invitation.email), " ", h("span", { class: "tag" }, words.roles[invitation.role]), " ", h("span", { class: `tag state ${invitation.status}` }, words.statuses[invitation.status])),
      isPending && h("p", { class: "hint" }, words.until, " ", dateText(invitation.expires_at)),
      actionRow(invitation.email, [isPending && [words.withdraw, () => this.withdraw(invitation)]]),
    );
  }

  /** @param {Invitation} invitation */
  async withdraw(invitation) {
    await call("DELETE", `/v1/invitations/${invitation.id}`);
    announce(words.withdrawn);
    await this.invitations.reload();
  }
}

/** @param {Group} group @returns {Array<[string, string]>} */
export function roleOptions(group) {
  const roles = Object.entries(words.roleChoices);
  return group.kind === "project" ? roles : roles.filter(([role]) => role !== "USER");
}
