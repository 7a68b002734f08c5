"""/api/v1/orgs/organizations/{org}/projects/…: projects, their settings and members in mem0's API."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import EmailStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest, Forbidden, NotFound
from app.core.http.schemas import Done
from app.core.resources import ResourcesDep
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.organizations.members import (
    change_member,
    invite_member,
    list_all_members,
    list_members_without_check,
    remove_member,
)
from app.gateways.mem0.organizations.routes import MAX_LISTED, get_visible_organization
from app.gateways.mem0.organizations.schemas import (
    MemberAdded,
    MemberInput,
    MemberList,
    ProjectCreated,
    ProjectInput,
    ProjectSettingsPatch,
)
from app.gateways.mem0.responses import JsonObject
from app.identity.administration import Administrative
from app.identity.caller import Caller
from app.identity.transaction import SystemTransaction
from app.projects.invitations import InvitationTarget
from app.projects.member_repository import ProjectMemberRepository
from app.projects.models import OrganizationMember, Project
from app.projects.permissions import MemberWriter, Reader, Writer
from app.projects.provisioning import delete_short_term_memory
from app.projects.repository import OWNER, USER, ProjectRepository, ProjectRow, SettingsRepository

router = APIRouter(
    prefix="/api/v1/orgs/organizations/{organization_id}/projects",
    tags=["Projects for mem0 clients"],
    responses=ERROR_RESPONSES,
    route_class=Mem0Route,
)
PROJECT_COLUMNS = ("name", "description")
PATH_FIELDS = {"org_id", "project_id"}
DEFAULT_SETTINGS: JsonObject = {
    "custom_instructions": None,
    "agent_custom_instructions": None,
    "custom_categories": None,
    "multilingual": False,
    "decay": False,
    "expiration_date": None,
    "expiration_days": None,
    "memory_depth": None,
    "usecase_setting": None,
}
# Further keys of mem0's project object. They have no effect here, but clients may read them.
UNUSED_FIELDS: JsonObject = {
    **dict.fromkeys(("inclusion_prompt", "exclusion_prompt", "update_custom_instructions", "active_prompt_profile")),
    **dict.fromkeys(("summary_custom_instructions", "summary_batch_size", "summary_max_tokens")),
    "enable_graph": False,
    "version": "v2",
}


async def get_administered_project(
    tx: AsyncSession, caller: Caller, organization_id: UUID, project_id: UUID, *, owner: bool = False
) -> ProjectRow:
    """End users of a project cannot see its settings and members."""
    project = await ProjectRepository(tx, caller).get(project_id)
    if project.role == USER:
        raise Forbidden("End users of a project cannot see its settings and members")
    if project.organization_id != organization_id:
        raise NotFound(f"There is no project {project_id} in the organization {organization_id}")
    return await ProjectRepository(tx, caller).get(project_id, owner=owner)


async def check_creator_owns_organization(tx: AsyncSession, caller: Caller, organization_id: UUID) -> None:
    """A key is bound to a project, so it reaches the organization only with the rights of its creator there."""
    if caller.key_created_by is None:
        return
    role = select(OrganizationMember.role).where(
        OrganizationMember.organization_id == organization_id, OrganizationMember.account_id == caller.key_created_by
    )
    if await tx.scalar(role) != OWNER:
        raise Forbidden(
            "Only an owner of the organization can create projects in it. The creator of this key is not one."
        )


def render_project(project: ProjectRow, settings: JsonObject) -> JsonObject:
    current = {
        name: default if settings.get(name) is None else settings[name] for name, default in DEFAULT_SETTINGS.items()
    }
    return {
        "id": str(project.id),
        "project_id": str(project.id),
        "org_id": str(project.organization_id),
        "name": project.name,
        "description": project.description,
        "created_at": project.created_at,
        "updated_at": project.updated_at,
        **UNUSED_FIELDS,
        **current,
        "usecase": current["usecase_setting"],
        "is_default": False,
        "user_role": project.role,
    }


@router.get("/")
async def list_mem0_projects(organization_id: UUID, caller: Reader, tx: SystemTransaction) -> list[JsonObject]:
    """Lists the projects of an organization with their settings."""
    await get_visible_organization(tx, caller, organization_id)
    projects = (await ProjectRepository(tx, caller).page(MAX_LISTED, None)).results
    return [
        render_project(project, await SettingsRepository(tx, project.id).get())
        for project in projects
        if project.organization_id == organization_id
    ]


@router.post("/", status_code=201, dependencies=[Administrative])
async def create_mem0_project(
    organization_id: UUID, body: ProjectInput, caller: MemberWriter, tx: SystemTransaction
) -> ProjectCreated:
    """Creates a project. An API key keeps working in its own project, so create a key for the new one."""
    await get_visible_organization(tx, caller, organization_id, owner=True)
    await check_creator_owns_organization(tx, caller, organization_id)
    if caller.account_id is None:
        project = Project(organization_id=organization_id, name=body.name, description=body.description)
        tx.add(project)
        await tx.flush()
        project_id = project.id
    else:
        added = await ProjectRepository(tx, caller).add(organization_id, name=body.name, description=body.description)
        project_id = added.id
    return ProjectCreated(message="Project created successfully.", project_id=str(project_id), name=body.name)


@router.get("/{project_id}/")
async def get_mem0_project(
    organization_id: UUID,
    project_id: UUID,
    caller: Reader,
    tx: SystemTransaction,
    fields: Annotated[list[str] | None, Query(max_length=100, description="Return only these fields.")] = None,
) -> JsonObject:
    """Returns a project with its settings and members."""
    row = await get_administered_project(tx, caller, organization_id, project_id)
    project = render_project(row, await SettingsRepository(tx, project_id).get())
    project["members"] = await list_members_without_check(tx, ProjectMemberRepository(tx, caller, project_id).rows)
    return {name: project.get(name) for name in fields} if fields else project


@router.patch("/{project_id}/", dependencies=[Administrative])
async def update_mem0_project(
    organization_id: UUID,
    project_id: UUID,
    body: ProjectSettingsPatch,
    caller: Writer,
    tx: SystemTransaction,
    resources: ResourcesDep,
) -> Done:
    """Updates the fields and settings that are sent."""
    await get_administered_project(tx, caller, organization_id, project_id, owner=True)
    check_ids_match(body, organization_id, project_id)
    check_known_settings(body)
    settings = body.model_dump(mode="json", exclude_unset=True, exclude={*PATH_FIELDS, *(body.model_extra or {})})
    columns = {name: settings.pop(name) for name in PROJECT_COLUMNS if name in settings}
    if columns.get("name", "") is None:
        del columns["name"]
    await ProjectRepository(tx, caller).update(project_id, **columns)
    if settings:
        await SettingsRepository(tx, project_id).change(**{name: value or None for name, value in settings.items()})
    resources.cache.invalidate(("decay", project_id))
    return Done(message="Project updated successfully")


def check_ids_match(body: ProjectSettingsPatch, organization_id: UUID, project_id: UUID) -> None:
    """mem0's Python client repeats the ids of the path in the body."""
    if body.project_id not in (None, str(project_id)) or body.org_id not in (None, str(organization_id)):
        raise NotFound("The body names another project than the path")


def check_known_settings(body: ProjectSettingsPatch) -> None:
    """A setting that were dropped without a word would be taken for stored."""
    for name, value in (body.model_extra or {}).items():
        if value != UNUSED_FIELDS.get(name):
            known = ", ".join(each for each in ProjectSettingsPatch.model_fields if each not in PATH_FIELDS)
            raise BadRequest(f"This server has no project setting {name}. It stores {known}")


@router.delete("/{project_id}/", dependencies=[Administrative])
async def delete_mem0_project(
    organization_id: UUID, project_id: UUID, caller: MemberWriter, tx: SystemTransaction, resources: ResourcesDep
) -> Done:
    """Deletes a project and all its data at once, including the API key of this request."""
    await get_administered_project(tx, caller, organization_id, project_id)
    await ProjectRepository(tx, caller).delete(project_id)
    await delete_short_term_memory(resources.short_term, [project_id])
    return Done(message="Project and its related data deleted successfully.")


@router.get("/{project_id}/members/")
async def list_mem0_project_members(
    organization_id: UUID, project_id: UUID, caller: Reader, tx: SystemTransaction
) -> MemberList:
    """Lists the members of a project, including those of its organization. Owners also see pending members."""
    project = await get_administered_project(tx, caller, organization_id, project_id)
    return await list_all_members(ProjectMemberRepository(tx, caller, project_id), project.role)


@router.post("/{project_id}/members/", status_code=201, dependencies=[Administrative])
async def add_mem0_project_member(
    organization_id: UUID,
    project_id: UUID,
    body: MemberInput,
    caller: MemberWriter,
    resources: ResourcesDep,
) -> MemberAdded:
    """Invites a person to a project by e-mail address. They are a pending member until they accept."""
    async with resources.database.system() as tx:
        await get_administered_project(tx, caller, organization_id, project_id)
    target = InvitationTarget(project_id=project_id)
    return await invite_member(resources, caller, target, body, "User added to the project successfully.")


@router.put("/{project_id}/members/", dependencies=[Administrative])
async def update_mem0_project_member(
    organization_id: UUID, project_id: UUID, body: MemberInput, caller: MemberWriter, tx: SystemTransaction
) -> Done:
    """Changes the role of a member or of a pending member."""
    await get_administered_project(tx, caller, organization_id, project_id)
    await change_member(ProjectMemberRepository(tx, caller, project_id), body)
    return Done(message="User role updated successfully.")


@router.delete("/{project_id}/members/", dependencies=[Administrative])
async def delete_mem0_project_member(
    organization_id: UUID, project_id: UUID, email: EmailStr, caller: MemberWriter, tx: SystemTransaction
) -> Done:
    """Removes a member, named by e-mail address, or withdraws the invitation of a pending member."""
    await get_administered_project(tx, caller, organization_id, project_id)
    await remove_member(ProjectMemberRepository(tx, caller, project_id), email)
    return Done(message="User removed from project successfully.")
