"""/v1/…/members: the members of organizations and projects, and their roles."""

from uuid import UUID

from app.core.database.pagination import Cursor, Limit, Page, PageRows
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.resources import ResourcesDep
from app.identity.administration import Administrative
from app.identity.caller import Person
from app.identity.transaction import SystemTransaction
from app.projects.invitations import InvitationCreated, InvitationTarget, send_invitation
from app.projects.member_repository import OrganizationMemberRepository, ProjectMemberRepository
from app.projects.permissions import MemberWriter, Reader
from app.projects.repository import ProjectRow
from app.projects.schemas import (
    MemberChange,
    MemberRead,
    OrganizationMemberAdd,
    ProjectMemberAdd,
    ProjectMemberChange,
    ProjectMemberRead,
)

organization_members = own_router(prefix="/v1/organizations/{organization_id}/members", tags=["Organizations"])
project_members = own_router(prefix="/v1/projects/{project_id}/members", tags=["Projects"])


@organization_members.get("", response_model=Page[MemberRead])
async def list_organization_members(
    organization_id: UUID, caller: Person, tx: SystemTransaction, limit: Limit = 50, cursor: Cursor = None
) -> PageRows[ProjectRow]:
    """Lists the members of an organization."""
    return await OrganizationMemberRepository(tx, caller, organization_id).page(limit, cursor)


@organization_members.post("", status_code=202, dependencies=[Administrative])
async def invite_organization_member(
    organization_id: UUID, body: OrganizationMemberAdd, caller: Person, resources: ResourcesDep
) -> InvitationCreated:
    """Invites a person by e-mail address, as `POST /v1/invitations` does. They join when they accept."""
    target = InvitationTarget(organization_id=organization_id)
    return await send_invitation(resources, caller, target, body.email, body.role)


@organization_members.patch("/{account_id}", response_model=MemberRead, dependencies=[Administrative])
async def change_organization_member(
    organization_id: UUID, account_id: UUID, body: MemberChange, caller: Person, tx: SystemTransaction
) -> ProjectRow:
    """Changes the role of a member of an organization."""
    return await OrganizationMemberRepository(tx, caller, organization_id).change(account_id, body.role)


@organization_members.delete("/{account_id}", dependencies=[Administrative])
async def remove_organization_member(
    organization_id: UUID, account_id: UUID, caller: Person, tx: SystemTransaction
) -> Done:
    """Removes a member. Owners can remove others; members can remove themselves, except the last owner."""
    await OrganizationMemberRepository(tx, caller, organization_id).remove(account_id)
    return Done(message="Member removed")


@project_members.get("", response_model=Page[ProjectMemberRead])
async def list_project_members(
    project_id: UUID, caller: Reader, tx: SystemTransaction, limit: Limit = 50, cursor: Cursor = None
) -> PageRows[ProjectRow]:
    """Lists the members of a project. `inherited` marks those who are only members of its organization."""
    return await ProjectMemberRepository(tx, caller, project_id).page(limit, cursor)


@project_members.post("", status_code=202, dependencies=[Administrative])
async def invite_project_member(
    project_id: UUID, body: ProjectMemberAdd, caller: MemberWriter, resources: ResourcesDep
) -> InvitationCreated:
    """Invites a person by e-mail address, as `POST /v1/invitations` does. They join when they accept."""
    return await send_invitation(resources, caller, InvitationTarget(project_id=project_id), body.email, body.role)


@project_members.patch("/{account_id}", response_model=ProjectMemberRead, dependencies=[Administrative])
async def change_project_member(
    project_id: UUID, account_id: UUID, body: ProjectMemberChange, caller: MemberWriter, tx: SystemTransaction
) -> ProjectRow:
    """Changes the role of a member of a project."""
    return await ProjectMemberRepository(tx, caller, project_id).change(account_id, body.role)


@project_members.delete("/{account_id}", dependencies=[Administrative])
async def remove_project_member(
    project_id: UUID, account_id: UUID, caller: MemberWriter, tx: SystemTransaction
) -> Done:
    """Removes a member. Owners can remove others; members can remove themselves."""
    await ProjectMemberRepository(tx, caller, project_id).remove(account_id)
    return Done(message="Member removed")
