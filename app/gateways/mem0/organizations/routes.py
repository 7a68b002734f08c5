"""/api/v1/orgs/organizations/…: organizations and their members in mem0's API."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import Select, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFound
from app.core.http.schemas import Done
from app.core.resources import ResourcesDep
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.organizations.members import change_member, invite_member, list_all_members, remove_member
from app.gateways.mem0.organizations.schemas import (
    MemberAdded,
    MemberEmail,
    MemberInput,
    MemberList,
    OrganizationCreated,
    OrganizationDetails,
    OrganizationInput,
)
from app.identity.administration import Administrative
from app.identity.caller import Caller, Person
from app.identity.transaction import SystemTransaction
from app.projects.invitations import InvitationTarget
from app.projects.member_repository import OrganizationMemberRepository
from app.projects.models import Organization
from app.projects.permissions import Developer, Reader
from app.projects.provisioning import delete_short_term_memory
from app.projects.repository import OrganizationRepository, ProjectRow

router = APIRouter(
    prefix="/api/v1/orgs/organizations",
    tags=["Organizations for mem0 clients"],
    responses=ERROR_RESPONSES,
    route_class=Mem0Route,
)
MAX_LISTED = 10_000


async def get_visible_organization(
    tx: AsyncSession, caller: Caller, organization_id: UUID, *, owner: bool = False
) -> ProjectRow:
    """An account sees the organizations it is a member of; an API key sees the one of its project."""
    if caller.account_id is not None:
        return await OrganizationRepository(tx, caller).get(organization_id, owner=owner)
    query: Select[Any] = select(*Organization.__table__.c, literal(None).label("role"))
    query = query.where(Organization.id == organization_id)
    row: ProjectRow | None = (await tx.execute(query)).first() if organization_id == caller.organization_id else None
    if row is None:
        raise NotFound(f"There is no organization {organization_id}")
    return row


def render_organization(row: ProjectRow) -> OrganizationDetails:
    return OrganizationDetails(
        id=str(row.id),
        org_id=str(row.id),
        name=row.name,
        personal=row.personal,
        user_role=row.role,
        created_at=row.created_at,
    )


@router.get("/")
async def list_mem0_organizations(caller: Reader, tx: SystemTransaction) -> list[OrganizationDetails]:
    """Lists the caller's organizations; for an API key, the one of its project."""
    if caller.account_id is None:
        return [render_organization(await get_visible_organization(tx, caller, caller.organization_id))]
    return [
        render_organization(each) for each in (await OrganizationRepository(tx, caller).page(MAX_LISTED, None)).results
    ]


@router.post("/", status_code=201, dependencies=[Administrative])
async def create_mem0_organization(
    body: OrganizationInput, caller: Developer, tx: SystemTransaction
) -> OrganizationCreated:
    """Creates an organization. The caller becomes its owner."""
    organization = await OrganizationRepository(tx, caller).add(body.name)
    return OrganizationCreated(
        message="Organization created successfully.", org_id=str(organization.id), name=organization.name
    )


@router.get("/{organization_id}/")
async def get_mem0_organization(organization_id: UUID, caller: Reader, tx: SystemTransaction) -> OrganizationDetails:
    """Returns one organization."""
    return render_organization(await get_visible_organization(tx, caller, organization_id))


@router.delete("/{organization_id}/", dependencies=[Administrative])
async def delete_mem0_organization(
    organization_id: UUID, caller: Person, tx: SystemTransaction, resources: ResourcesDep
) -> Done:
    """Deletes an organization with all its projects and their data, at once."""
    projects = await OrganizationRepository(tx, caller).delete(organization_id)
    await delete_short_term_memory(resources.short_term, projects)
    return Done(message="Organization deleted successfully!")


@router.get("/{organization_id}/members/")
async def list_mem0_organization_members(organization_id: UUID, caller: Person, tx: SystemTransaction) -> MemberList:
    """Lists the members of an organization. Owners also see pending members."""
    organization = await OrganizationRepository(tx, caller).get(organization_id)
    return await list_all_members(OrganizationMemberRepository(tx, caller, organization_id), organization.role)


@router.post("/{organization_id}/members/", status_code=201, dependencies=[Administrative])
async def add_mem0_organization_member(
    organization_id: UUID, body: MemberInput, caller: Person, resources: ResourcesDep
) -> MemberAdded:
    """Invites a person by e-mail address. They are a pending member until they accept."""
    target = InvitationTarget(organization_id=organization_id)
    return await invite_member(resources, caller, target, body, "User added to the organization.")


@router.put("/{organization_id}/members/", dependencies=[Administrative])
async def update_mem0_organization_member(
    organization_id: UUID, body: MemberInput, caller: Person, tx: SystemTransaction
) -> Done:
    """Changes the role of a member or of a pending member."""
    await change_member(OrganizationMemberRepository(tx, caller, organization_id), body)
    return Done(message="User role updated successfully.")


@router.delete("/{organization_id}/members/", dependencies=[Administrative])
async def delete_mem0_organization_member(
    organization_id: UUID, body: MemberEmail, caller: Person, tx: SystemTransaction
) -> Done:
    """Removes a member, named by e-mail address in the body, or withdraws the invitation of a pending member."""
    await remove_member(OrganizationMemberRepository(tx, caller, organization_id), body.email)
    return Done(message="User removed from organization successfully.")
