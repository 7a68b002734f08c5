"""Members by e-mail address, as mem0's clients name them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from app.gateways.mem0.organizations.schemas import MemberDetails, MemberInput, MemberList
from app.projects.member_repository import OrganizationMemberRepository, ProjectMemberRepository, find_account
from app.projects.repository import ProjectRow

MAX_LISTED = 10_000
Members = OrganizationMemberRepository | ProjectMemberRepository


async def list_all_members(members: Members) -> MemberList:
    return MemberList(members=render_members((await members.page(MAX_LISTED, None)).results))


async def list_members_without_check(tx: AsyncSession, rows: Select[Any]) -> list[MemberDetails]:
    """For callers whose right to see the members was checked before."""
    return render_members((await tx.execute(rows)).all())


def render_members(rows: Sequence[ProjectRow]) -> list[MemberDetails]:
    return [
        MemberDetails(user_id=str(row.account_id), username=row.email or "", email=row.email or "", role=row.role)
        for row in rows
    ]


async def change_member(members: Members, member: MemberInput) -> None:
    await members.change(await find_account(members.tx, member.email), member.role)


async def remove_member(members: Members, email: str) -> None:
    await members.remove(await find_account(members.tx, email))
