/** The project itself: name, how it remembers, its data, and its end. */

import { call, chooseProject, listAll } from "../../api.js";
import { dataTransfer } from "../../account/data_transfer.js";
import { announce, field, form, h, leaveNotice } from "../../elements.js";
import { texts } from "../../texts.js";
import { askForm } from "../dialog.js";
import { choice } from "../fields.js";
import { actionRow, Loaded } from "../loaded.js";
import { embedderForm } from "./embedder_form.js";
import { settingsForm } from "./settings_form.js";
import { upkeepForm } from "./upkeep_form.js";

const words = texts.developers.project;

/** @param {import("../developers.js").Project} project */
export async function show(project) {
  const isOwner = project.role === "OWNER";
  const path = `/api/v1/orgs/organizations/${project.organization_id}/projects/${project.id}/`;
  const settings = new Loaded(async () => settingsForm(path, await call("GET", path), isOwner));
  const creation = new Loaded(createForm);
  const embedder = embedderForm(project.id, isOwner);
  const upkeep = upkeepForm(project.id, isOwner);
  await Promise.all([settings.reload(), creation.reload(), embedder.reload(), upkeep.reload()]);
  return [
    section(words.title, nameForm(project, isOwner)),
    section(words.remembering, settings.element),
    section(words.upkeep, upkeep.element),
    section(words.embedder, embedder.element),
    isOwner && section(words.data, h("p", {}, words.dataBody), ...dataTransfer(null)),
    section(words.create, creation.element),
    isOwner && section(words.end, h("p", {}, words.endBody), actionRow(project.name, [[words.delete, () => deleteProject(project)]])),
  ].filter((each) => each !== false);
}

/** @param {string} title @param {...import("../../elements.js").Child} content */
function section(title, ...content) {
  return h("section", { class: "box" }, h("h2", {}, title), ...content);
}

/** @param {import("../developers.js").Project} project @param {boolean} isOwner */
function nameForm(project, isOwner) {
  const name = field(words.name, { maxlength: 200, required: true, value: project.name, readonly: !isOwner });
  const description = field(words.description, { rows: 2, maxlength: 2000, readonly: !isOwner, value: project.description ?? "" }, { tag: "textarea" });
  const id = h("p", { class: "hint" }, words.id, " ", h("code", {}, project.id));
  return form([name.row, description.row, id, isOwner && h("button", { class: "primary" }, texts.save)], async () => {
    await call("PATCH", `/v1/projects/${project.id}`, { name: name.input.value, description: description.input.value || null });
    announce(words.saved);
  });
}

async function createForm() {
  const owned = (await listAll("/v1/organizations")).filter((each) => each.role === "OWNER");
  if (!owned.length) return h("p", { class: "hint" }, words.noOrganization);
  const name = field(words.newName, { maxlength: 200, required: true, autocomplete: "off" });
  const organization = choice(words.organization, owned.map((each) => [each.id, each.name]));
  return form([h("div", { class: "row" }, name.row, owned.length > 1 && organization.row, h("button", {}, words.createSubmit))], async () => {
    const made = await call("POST", "/v1/projects", { name: name.input.value, organization_id: organization.input.value });
    openProject(made.id);
  });
}

/** Everything on the page belongs to a project, so it starts again. @param {string | null} id */
function openProject(id) {
  chooseProject(id);
  location.reload();
}

/** @param {import("../developers.js").Project} project */
async function deleteProject(project) {
  const isOnly = (await listAll("/v1/projects")).length === 1;
  const name = field(words.confirmName(project.name), { required: true, autocomplete: "off" });
  const body = [h("p", {}, words.deleteBody), name.row];
  const deleted = await askForm({ title: words.deleteTitle(project.name), body, agree: words.delete, danger: true }, async () => {
    if (name.input.value.trim() !== project.name.trim()) throw new Error(words.otherName);
    await call("DELETE", `/v1/projects/${project.id}`);
  });
  if (!deleted) return;
  leaveNotice(isOnly ? words.deletedOnly : words.deleted(project.name));
  openProject(null);
}
