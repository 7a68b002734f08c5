"""Members by their e-mail addresses, as mem0's clients name them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from app.gateways.mem0.organizations.schemas import MemberInput, MemberDetails, MemberList
from app.projects.member_repository import OrganizationMemberRepository, ProjectMemberRepository, find_account
from app.projects.repository import ProjectRow

MAX_LISTED = 10_000
Members = OrganizationMemberRepository | ProjectMemberRepository


async def list_all_members(members: Members) -> MemberList:
    return MemberList(members=render_members((await members.page(MAX_LISTED, None)).results))


async def list_members_without_check(tx: AsyncSession, rows: Select[Any]) -> list[MemberDetails]:
    """For a place whose door was passed already."""
    return render_members((await tx.execute(rows)).all())


def render_members(found: Sequence[ProjectRow]) -> list[MemberDetails]:
    return [
        MemberDetails(user_id=str(each.account_id), username=each.email or "", email=each.email or "", role=each.role)
        for each in found
    ]


async def change_member(members: Members, wanted: MemberInput) -> None:
    await members.change(await find_account(members.tx, wanted.email), wanted.role)


async def remove_member(members: Members, email: str) -> None:
    await members.remove(await find_account(members.tx, email))
