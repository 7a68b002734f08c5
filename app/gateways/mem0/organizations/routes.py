"""/api/v1/orgs/organizations/…: organizations and their members, as mem0's Platform has them."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy import Select, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFound
from app.core.http.schemas import Done
from app.core.resources import ResourcesDep
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.organizations.members import change_member, remove_member, list_all_members
from app.gateways.mem0.organizations.schemas import (
    MemberEmail,
    MemberInput,
    MemberList,
    OrganizationCreated,
    OrganizationInput,
    OrganizationDetails,
    PlaceId,
)
from app.identity.caller import Caller, Person
from app.identity.transaction import SystemTransaction
from app.projects.member_repository import OrganizationMemberRepository
from app.projects.models import Organization
from app.projects.permissions import Developer, Reader
from app.projects.repository import ProjectRow, OrganizationRepository

router = APIRouter(
    prefix="/api/v1/orgs/organizations", tags=["mem0: organizations"], responses=ERROR_RESPONSES, route_class=Mem0Route
)
MAX_LISTED = 10_000


async def get_visible_organization(tx: AsyncSession, caller: Caller, organization_id: PlaceId, *, owner: bool = False) -> ProjectRow:
    """A person's by membership; an API key's own, which the project it belongs to is in."""
    if caller.account_id is not None:
        return await OrganizationRepository(tx, caller).get(organization_id, owner=owner)
    query: Select[Any] = select(*Organization.__table__.c, literal(None).label("role"))
    query = query.where(Organization.id == organization_id)
    found: ProjectRow | None = (await tx.execute(query)).first() if organization_id == caller.organization_id else None
    if found is None:
        raise NotFound(f"There is no organization {organization_id}")
    return found


def render_organization(found: ProjectRow) -> OrganizationDetails:
    return OrganizationDetails(
        id=str(found.id),
        org_id=str(found.id),
        name=found.name,
        personal=found.personal,
        user_role=found.role,
        created_at=found.created_at,
    )


@router.get("/")
async def list_organizations(caller: Reader, tx: SystemTransaction) -> list[OrganizationDetails]:
    """Yours; for an API key the one it belongs to."""
    if caller.account_id is None:
        return [render_organization(await get_visible_organization(tx, caller, caller.organization_id))]
    return [render_organization(each) for each in (await OrganizationRepository(tx, caller).page(MAX_LISTED, None)).results]


@router.post("/", status_code=201)
async def create_organization(body: OrganizationInput, caller: Developer, tx: SystemTransaction) -> OrganizationCreated:
    made = await OrganizationRepository(tx, caller).add(body.name)
    return OrganizationCreated(message="Organization created successfully.", org_id=str(made.id), name=made.name)


@router.get("/{organization_id}/")
async def get_organization(organization_id: PlaceId, caller: Reader, tx: SystemTransaction) -> OrganizationDetails:
    return render_organization(await get_visible_organization(tx, caller, organization_id))


@router.delete("/{organization_id}/")
async def delete_organization(organization_id: PlaceId, caller: Person, tx: SystemTransaction) -> Done:
    """With all its projects and everything in them, at once."""
    await OrganizationRepository(tx, caller).delete(organization_id)
    return Done(message="Organization deleted successfully!")


@router.get("/{organization_id}/members/")
async def list_members(organization_id: PlaceId, caller: Person, tx: SystemTransaction) -> MemberList:
    return await list_all_members(OrganizationMemberRepository(tx, caller, organization_id))


@router.post("/{organization_id}/members/", status_code=201)
async def add_member(
    organization_id: PlaceId, body: MemberInput, caller: Person, tx: SystemTransaction, resources: ResourcesDep
) -> Done:
    """Somebody who has signed up: they enter all projects of the organization."""
    await OrganizationMemberRepository(tx, caller, organization_id).add(
        body.email, body.role, shared=resources.values.shared
    )
    return Done(message="User added to the organization.")


@router.put("/{organization_id}/members/")
async def update_member(organization_id: PlaceId, body: MemberInput, caller: Person, tx: SystemTransaction) -> Done:
    await change_member(OrganizationMemberRepository(tx, caller, organization_id), body)
    return Done(message="User role updated successfully.")


@router.delete("/{organization_id}/members/")
async def delete_member(organization_id: PlaceId, body: MemberEmail, caller: Person, tx: SystemTransaction) -> Done:
    """The address is in the body."""
    await remove_member(OrganizationMemberRepository(tx, caller, organization_id), body.email)
    return Done(message="User removed from organization successfully.")
