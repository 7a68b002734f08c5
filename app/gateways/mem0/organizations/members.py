"""Members by their e-mail addresses, as mem0's clients name them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from app.gateways.mem0.organizations.schemas import MemberNamed, MemberShown, MembersShown
from app.projects.member_repository import OrganizationMemberRepository, ProjectMemberRepository, find_account
from app.projects.repository import Found

MOST_SHOWN = 10_000
Members = OrganizationMemberRepository | ProjectMemberRepository


async def show_members(members: Members) -> MembersShown:
    return MembersShown(members=as_members((await members.page(MOST_SHOWN, None)).results))


async def all_members(tx: AsyncSession, rows: Select[Any]) -> list[MemberShown]:
    """For a place whose door was passed already."""
    return as_members((await tx.execute(rows)).all())


def as_members(found: Sequence[Found]) -> list[MemberShown]:
    return [
        MemberShown(user_id=str(each.account_id), username=each.email or "", email=each.email or "", role=each.role)
        for each in found
    ]


async def change_member(members: Members, wanted: MemberNamed) -> None:
    await members.change(await find_account(members.tx, wanted.email), wanted.role)


async def remove_member(members: Members, email: str) -> None:
    await members.remove(await find_account(members.tx, email))
