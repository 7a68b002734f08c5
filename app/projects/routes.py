"""/v1/projects and /v1/organizations."""

from uuid import UUID

from fastapi import APIRouter

from app.core.database.pagination import Cursor, Limit, Page, PageRows
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.resources import ResourcesDep
from app.identity.administration import Administrative
from app.identity.caller import Person
from app.identity.transaction import SystemTransaction
from app.projects.invitations import invitations
from app.projects.member_routes import organization_members, project_members
from app.projects.permissions import Developer, Reader, Writer
from app.projects.provisioning import delete_short_term_memory
from app.projects.repository import OrganizationRepository, ProjectRepository, ProjectRow
from app.projects.schemas import (
    OrganizationCreate,
    OrganizationPatch,
    OrganizationRead,
    ProjectCreate,
    ProjectPatch,
    ProjectRead,
    changes_in,
)

projects = own_router(prefix="/v1/projects", tags=["Projects"])
organizations = own_router(prefix="/v1/organizations", tags=["Organizations"])


@projects.get("", response_model=Page[ProjectRead])
async def list_projects(
    caller: Reader, tx: SystemTransaction, limit: Limit = 50, cursor: Cursor = None
) -> PageRows[ProjectRow]:
    """Lists the projects that you are a member of, with your role. An API key sees its own project."""
    return await ProjectRepository(tx, caller).page(limit, cursor)


@projects.post("", status_code=201, response_model=ProjectRead, dependencies=[Administrative])
async def create_project(body: ProjectCreate, caller: Person, tx: SystemTransaction) -> ProjectRow:
    """Creates a project in an organization that you own. Defaults to your personal organization."""
    return await ProjectRepository(tx, caller).add(body.organization_id, name=body.name, description=body.description)


@projects.get("/{project_id}", response_model=ProjectRead)
async def get_project(project_id: UUID, caller: Reader, tx: SystemTransaction) -> ProjectRow:
    """Returns a project."""
    return await ProjectRepository(tx, caller).get(project_id)


@projects.patch("/{project_id}", response_model=ProjectRead, dependencies=[Administrative])
async def change_project(project_id: UUID, body: ProjectPatch, caller: Writer, tx: SystemTransaction) -> ProjectRow:
    """Changes the name, the description, the embedder or other settings of a project."""
    return await ProjectRepository(tx, caller).update(project_id, embedder=body.embedder, **changes_in(body))


@projects.delete("/{project_id}", dependencies=[Administrative])
async def delete_project(project_id: UUID, caller: Person, tx: SystemTransaction, resources: ResourcesDep) -> Done:
    """Deletes a project with all its data.

    A member who has no other project gets a new one with the next request.
    """
    await ProjectRepository(tx, caller).delete(project_id)
    await delete_short_term_memory(resources.short_term, [project_id])
    return Done(message="Project deleted, with all its data")


@organizations.get("", response_model=Page[OrganizationRead])
async def list_organizations(
    caller: Person, tx: SystemTransaction, limit: Limit = 50, cursor: Cursor = None
) -> PageRows[ProjectRow]:
    """Lists the organizations that you are a member of."""
    return await OrganizationRepository(tx, caller).page(limit, cursor)


@organizations.post("", status_code=201, response_model=OrganizationRead, dependencies=[Administrative])
async def create_organization(body: OrganizationCreate, caller: Developer, tx: SystemTransaction) -> ProjectRow:
    """Creates an organization that you own."""
    return await OrganizationRepository(tx, caller).add(body.name)


@organizations.get("/{organization_id}", response_model=OrganizationRead)
async def get_organization(organization_id: UUID, caller: Person, tx: SystemTransaction) -> ProjectRow:
    """Returns an organization."""
    return await OrganizationRepository(tx, caller).get(organization_id)


@organizations.patch("/{organization_id}", response_model=OrganizationRead, dependencies=[Administrative])
async def change_organization(
    organization_id: UUID, body: OrganizationPatch, caller: Person, tx: SystemTransaction
) -> ProjectRow:
    """Renames an organization."""
    return await OrganizationRepository(tx, caller).update(organization_id, **changes_in(body))


@organizations.delete("/{organization_id}", dependencies=[Administrative])
async def delete_organization(
    organization_id: UUID, caller: Person, tx: SystemTransaction, resources: ResourcesDep
) -> Done:
    """Deletes an organization with all its projects and their data."""
    projects = await OrganizationRepository(tx, caller).delete(organization_id)
    await delete_short_term_memory(resources.short_term, projects)
    return Done(message="Organization deleted, with all its projects")


router = APIRouter()
for part in (invitations, projects, project_members, organizations, organization_members):
    router.include_router(part)
