"""Members by e-mail address, as mem0's clients name them. A person who was invited is a pending member."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFound
from app.core.resources import Resources
from app.gateways.mem0.organizations.schemas import MemberAdded, MemberDetails, MemberInput, MemberList
from app.identity.caller import Caller
from app.identity.scopes import Scope
from app.projects.invitations import InvitationRepository, InvitationTarget, send_invitation
from app.projects.member_repository import (
    OrganizationMemberRepository,
    ProjectMemberRepository,
    find_member_by_email,
)
from app.projects.repository import OWNER, ProjectRow

MAX_LISTED = 10_000
Members = OrganizationMemberRepository | ProjectMemberRepository


def target_of(members: Members) -> InvitationTarget:
    if isinstance(members, ProjectMemberRepository):
        return InvitationTarget(project_id=members.project_id)
    return InvitationTarget(organization_id=members.organization_id)


def invitations_of(members: Members) -> InvitationRepository:
    return InvitationRepository(members.tx, members.caller, target_of(members))


async def invite_member(
    resources: Resources, caller: Caller, target: InvitationTarget, member: MemberInput, message: str
) -> MemberAdded:
    sent = await send_invitation(resources, caller, target, member.email, member.role)
    return MemberAdded(message=message, invitation_id=str(sent.id), token=sent.token)


async def list_all_members(members: Members, role: str | None) -> MemberList:
    """`role` is that of the caller. Only those who manage members see who is invited."""
    listed = render_members((await members.page(MAX_LISTED, None)).results)
    if role == OWNER or (role is None and Scope.ADMIN in members.caller.scopes):
        listed += [render_pending(each) for each in await members.tx.execute(invitations_of(members).pending)]
    return MemberList(members=listed)


async def list_members_without_check(tx: AsyncSession, rows: Select[Any]) -> list[MemberDetails]:
    """For callers whose right to see the members was checked before."""
    return render_members((await tx.execute(rows)).all())


def render_members(rows: Sequence[ProjectRow]) -> list[MemberDetails]:
    return [
        MemberDetails(user_id=str(row.account_id), username=row.email or "", email=row.email or "", role=row.role)
        for row in rows
    ]


def render_pending(invitation: ProjectRow) -> MemberDetails:
    email = invitation.email
    return MemberDetails(user_id="", username=email, email=email, role=invitation.role, status="pending")


async def find_pending(members: Members, email: str) -> UUID:
    """Only those who manage members learn whether an address is invited."""
    invitations = invitations_of(members)
    await invitations.check_access()
    found = await invitations.find_pending(email)
    if found is None:
        raise NotFound("No member and no pending invitation has this e-mail address.")
    invitation_id: UUID = found.id
    return invitation_id


async def change_member(members: Members, member: MemberInput) -> None:
    found = await find_member_by_email(members.tx, members.rows, member.email)
    if found:
        await members.change(found.account_id, member.role)
    else:
        await invitations_of(members).change(await find_pending(members, member.email), member.role)


async def remove_member(members: Members, email: str) -> None:
    found = await find_member_by_email(members.tx, members.rows, email)
    if found:
        await members.remove(found.account_id)
    else:
        await invitations_of(members).withdraw(await find_pending(members, email))
