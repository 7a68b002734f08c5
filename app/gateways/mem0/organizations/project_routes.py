"""/api/v1/orgs/organizations/{org}/projects/…: projects, their settings and members, as mem0's clients know them."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import EmailStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Forbidden, NotFound
from app.core.http.schemas import Done
from app.core.resources import ResourcesDep
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.organizations.members import list_members_without_check, change_member, remove_member, list_all_members
from app.gateways.mem0.organizations.routes import MAX_LISTED, get_visible_organization
from app.gateways.mem0.organizations.schemas import (
    MemberInput,
    MemberList,
    PlaceId,
    ProjectSettingsPatch,
    ProjectCreated,
    ProjectInput,
    Shown,
)
from app.identity.caller import Caller
from app.identity.transaction import SystemTransaction
from app.projects.member_repository import ProjectMemberRepository
from app.projects.models import Project
from app.projects.permissions import MemberWriter, Reader, Writer
from app.projects.repository import USER, ProjectRow, ProjectRepository, SettingsRepository

router = APIRouter(
    prefix="/api/v1/orgs/organizations/{organization_id}/projects",
    tags=["mem0: projects"],
    responses=ERROR_RESPONSES,
    route_class=Mem0Route,
)
PROJECT_COLUMNS = ("name", "description")
PATH_FIELDS = {"org_id", "project_id"}
DEFAULT_SETTINGS: Shown = {
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
# What mem0's object has besides. Nothing here depends on it, but a client may look for the keys.
UNUSED_FIELDS: Shown = {
    **dict.fromkeys(("inclusion_prompt", "exclusion_prompt", "update_custom_instructions", "active_prompt_profile")),
    **dict.fromkeys(("summary_custom_instructions", "summary_batch_size", "summary_max_tokens")),
    "enable_graph": False,
    "version": "v2",
}


async def get_administered_project(
    tx: AsyncSession, caller: Caller, organization_id: PlaceId, project_id: PlaceId, *, owner: bool = False
) -> ProjectRow:
    """End users of a project reach it, but not how it is run."""
    found = await ProjectRepository(tx, caller).get(project_id)
    if found.role == USER:
        raise Forbidden("End users of a project do not see how it is run")
    if found.organization_id != organization_id:
        raise NotFound(f"There is no project {project_id} in the organization {organization_id}")
    return await ProjectRepository(tx, caller).get(project_id, owner=owner)


def render_project(found: ProjectRow, settings: Shown) -> Shown:
    kept = {name: value if (value := settings.get(name)) is not None else empty for name, empty in DEFAULT_SETTINGS.items()}
    return {
        "id": str(found.id),
        "project_id": str(found.id),
        "org_id": str(found.organization_id),
        "name": found.name,
        "description": found.description,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
        **UNUSED_FIELDS,
        **kept,
        "usecase": kept["usecase_setting"],
        "is_default": False,
        "user_role": found.role,
    }


@router.get("/")
async def list_projects(organization_id: PlaceId, caller: Reader, tx: SystemTransaction) -> list[Shown]:
    await get_visible_organization(tx, caller, organization_id)
    found = (await ProjectRepository(tx, caller).page(MAX_LISTED, None)).results
    return [
        render_project(each, await SettingsRepository(tx, each.id).get())
        for each in found
        if each.organization_id == organization_id
    ]


@router.post("/", status_code=201)
async def create_project(
    organization_id: PlaceId, body: ProjectInput, caller: MemberWriter, tx: SystemTransaction
) -> ProjectCreated:
    """An API key that may do this goes on working in its own project: make a key for the new one."""
    await get_visible_organization(tx, caller, organization_id, owner=True)
    if caller.account_id is None:
        made = Project(organization_id=organization_id, name=body.name, description=body.description)
        tx.add(made)
        await tx.flush()
        project_id = made.id
    else:
        added = await ProjectRepository(tx, caller).add(organization_id, name=body.name, description=body.description)
        project_id = added.id
    return ProjectCreated(message="Project created successfully.", project_id=str(project_id), name=body.name)


@router.get("/{project_id}/")
async def get_project(
    organization_id: PlaceId,
    project_id: PlaceId,
    caller: Reader,
    tx: SystemTransaction,
    fields: Annotated[list[str] | None, Query(max_length=100, description="Only these keys")] = None,
) -> Shown:
    found = await get_administered_project(tx, caller, organization_id, project_id)
    shown = render_project(found, await SettingsRepository(tx, project_id).get())
    shown["members"] = await list_members_without_check(tx, ProjectMemberRepository(tx, caller, project_id).rows)
    return {name: shown.get(name) for name in fields} if fields else shown


@router.patch("/{project_id}/")
async def update_project(
    organization_id: PlaceId,
    project_id: PlaceId,
    body: ProjectSettingsPatch,
    caller: Writer,
    tx: SystemTransaction,
    resources: ResourcesDep,
) -> Done:
    await get_administered_project(tx, caller, organization_id, project_id, owner=True)
    check_ids_match(body, organization_id, project_id)
    sent = body.model_dump(mode="json", exclude_unset=True, exclude=PATH_FIELDS)
    plain = {name: sent.pop(name) for name in PROJECT_COLUMNS if name in sent}
    if plain.get("name", "") is None:
        del plain["name"]
    await ProjectRepository(tx, caller).update(project_id, **plain)
    if sent:
        await SettingsRepository(tx, project_id).change(**{name: value or None for name, value in sent.items()})
    resources.brief.forget(("decay", project_id))
    return Done(message="Project updated successfully")


def check_ids_match(body: ProjectSettingsPatch, organization_id: PlaceId, project_id: PlaceId) -> None:
    """mem0's Python client says in the body once more what it means; it must mean the same."""
    if body.project_id not in (None, str(project_id)) or body.org_id not in (None, str(organization_id)):
        raise NotFound("The project in the body is another than the one in the address")


@router.delete("/{project_id}/")
async def delete_project(
    organization_id: PlaceId, project_id: PlaceId, caller: MemberWriter, tx: SystemTransaction
) -> Done:
    """With everything in it, at once: also the key that asked for it."""
    await get_administered_project(tx, caller, organization_id, project_id)
    await ProjectRepository(tx, caller).delete(project_id)
    return Done(message="Project and its related data deleted successfully.")


@router.get("/{project_id}/members/")
async def list_members(
    organization_id: PlaceId, project_id: PlaceId, caller: Reader, tx: SystemTransaction
) -> MemberList:
    """Everybody who may enter, also through the organization."""
    await get_administered_project(tx, caller, organization_id, project_id)
    return await list_all_members(ProjectMemberRepository(tx, caller, project_id))


@router.post("/{project_id}/members/", status_code=201)
async def add_member(
    organization_id: PlaceId,
    project_id: PlaceId,
    body: MemberInput,
    caller: MemberWriter,
    tx: SystemTransaction,
    resources: ResourcesDep,
) -> Done:
    """Somebody who has signed up, by their e-mail address."""
    await get_administered_project(tx, caller, organization_id, project_id)
    await ProjectMemberRepository(tx, caller, project_id).add(body.email, body.role, shared=resources.values.shared)
    return Done(message="User added to the project successfully.")


@router.put("/{project_id}/members/")
async def update_member(
    organization_id: PlaceId, project_id: PlaceId, body: MemberInput, caller: MemberWriter, tx: SystemTransaction
) -> Done:
    await get_administered_project(tx, caller, organization_id, project_id)
    await change_member(ProjectMemberRepository(tx, caller, project_id), body)
    return Done(message="User role updated successfully.")


@router.delete("/{project_id}/members/")
async def delete_member(
    organization_id: PlaceId, project_id: PlaceId, email: EmailStr, caller: MemberWriter, tx: SystemTransaction
) -> Done:
    await get_administered_project(tx, caller, organization_id, project_id)
    await remove_member(ProjectMemberRepository(tx, caller, project_id), email)
    return Done(message="User removed from project successfully.")
