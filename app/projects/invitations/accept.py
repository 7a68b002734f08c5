"""Invitations as the invited account sees them: list, accept and decline.

An invitation is meant for the owner of an e-mail address. An account proves that it is this person by a confirmed
address or, where addresses are not confirmed, by the token of the invitation.
"""

import hmac
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, func, literal, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.pagination import PageRows
from app.core.errors import Forbidden, NotFound
from app.projects.invitations.repository import PENDING, hash_token
from app.projects.invitations.schemas import InvitationStatus
from app.projects.models import Invitation, Organization, OrganizationMember, Project, ProjectMember
from app.projects.repository import ProjectRow, read_page

SELECT_ADDRESS_SQL = text("select email, confirmed from private.address_of(:account)")
ADDRESS_NOT_CONFIRMED = (
    "Your e-mail address is not confirmed, so accepting needs the `token` of the invitation."
    " It was mailed to you, or the sender has it."
)

WRONG_TOKEN = "This is not the `token` of the invitation. An invitation that is sent again has a new one."  # noqa: S105


@dataclass(frozen=True, slots=True)
class InvitedAccount:
    id: UUID
    email: str
    confirmed: bool
    """Whether the account has proven that it receives e-mail at its address."""


async def load_invited_account(tx: AsyncSession, account_id: UUID, *, confirms_addresses: bool) -> InvitedAccount:
    """`confirms_addresses` says whether the identity provider checks addresses, or marks all as confirmed."""
    row = (await tx.execute(SELECT_ADDRESS_SQL, {"account": account_id})).first()
    if row is None:
        raise Forbidden("Your account has no e-mail address, so it cannot be invited. Add an address first.")
    return InvitedAccount(account_id, row.email, row.confirmed and confirms_addresses)


class ReceivedInvitations:
    def __init__(self, tx: AsyncSession, account: InvitedAccount) -> None:
        self.tx = tx
        self.account = account

    @property
    def valid(self) -> Select[Any]:
        """An invitation ends when its sender loses the right to invite."""
        may_invite = func.private.may_invite(Invitation.invited_by, Invitation.organization_id, Invitation.project_id)
        return select(Invitation).where(
            Invitation.email == self.account.email,
            Invitation.status == PENDING,
            Invitation.expires_at > func.now(),
            or_(Invitation.invited_by.is_(None), may_invite),
        )

    async def page(self, limit: int, cursor: str | None) -> PageRows[ProjectRow]:
        shown = literal(self.account.confirmed)
        name = func.coalesce(Project.name, Organization.name)
        query = (
            self.valid.outerjoin(Project, Project.id == Invitation.project_id)
            .outerjoin(Organization, Organization.id == Invitation.organization_id)
            .with_only_columns(
                Invitation.id,
                Invitation.role,
                Invitation.organization_id,
                Invitation.project_id,
                case((shown, name), else_=null()).label("name"),
                case((shown, func.private.email_of(Invitation.invited_by)), else_=null()).label("invited_by"),
                (~shown).label("token_required"),
                Invitation.created_at,
                Invitation.expires_at,
            )
        )
        return await read_page(self.tx, query, limit, cursor)

    async def accept(self, invitation_id: UUID, token: str | None) -> Invitation:
        invitation = await self._take(invitation_id, token)
        await self._join(invitation)
        await self._end(invitation, InvitationStatus.ACCEPTED)
        return invitation

    async def decline(self, invitation_id: UUID, token: str | None) -> None:
        await self._end(await self._take(invitation_id, token), InvitationStatus.DECLINED)

    async def _take(self, invitation_id: UUID, token: str | None) -> Invitation:
        """Lock the invitation, so that it cannot be withdrawn at the same moment."""
        invitation: Invitation | None = await self.tx.scalar(
            self.valid.where(Invitation.id == invitation_id).with_for_update()
        )
        if invitation is None:
            raise NotFound(
                "No pending invitation to your e-mail address has this id. It may have expired or been withdrawn."
            )
        proven = token is not None and hmac.compare_digest(hash_token(token), invitation.token_hash)
        if not proven and not self.account.confirmed:
            raise Forbidden(ADDRESS_NOT_CONFIRMED if token is None else WRONG_TOKEN)
        return invitation

    async def _join(self, invitation: Invitation) -> None:
        """A membership that exists already keeps its role, and becomes an accepted one."""
        values: dict[str, object] = {"account_id": self.account.id, "role": invitation.role, "joined": "accepted"}
        if invitation.project_id:
            target, query = "project_id", insert(ProjectMember)
        else:
            target, query = "organization_id", insert(OrganizationMember)
        values[target] = getattr(invitation, target)
        added = query.table.c.joined == "added"
        await self.tx.execute(
            query.values(**values).on_conflict_do_update(
                index_elements=[target, "account_id"], set_={"joined": "accepted"}, where=added
            )
        )

    async def _end(self, invitation: Invitation, status: InvitationStatus) -> None:
        values = {"status": status, "ended_at": func.now(), "account_id": self.account.id}
        await self.tx.execute(update(Invitation).where(Invitation.id == invitation.id).values(**values))
