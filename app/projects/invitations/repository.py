"""Invitations as those who manage members see them: send, list, change and withdraw.

Nothing here looks up the account of the invited address, so that neither the response nor its time reveals one.
"""

import datetime as dt
import hashlib
import math
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.counts import count_of
from app.core.database.pagination import PageRows
from app.core.errors import Conflict, Forbidden, NotFound, TooManyRequests
from app.identity.caller import Caller
from app.projects.invitations.schemas import InvitationStatus
from app.projects.models import Invitation
from app.projects.repository import OWNER, OrganizationRepository, ProjectRepository, ProjectRow, read_page

VALID_FOR = dt.timedelta(days=7)
ONE_DAY = dt.timedelta(days=1)
SENT_A_DAY = 100
"""To one project or organization, whoever sends them. Withdrawn ones count."""
LOCK_TARGET_SQL = text("select pg_advisory_xact_lock(hashtextextended(:name, 0))")
PENDING = InvitationStatus.PENDING
CURRENT_STATUS: ColumnElement[str] = case(
    ((Invitation.status == PENDING) & (Invitation.expires_at <= func.now()), InvitationStatus.EXPIRED),
    else_=Invitation.status,
)


@dataclass(frozen=True, slots=True)
class InvitationTarget:
    """The project or the organization that a person is invited to."""

    project_id: UUID | None = None
    organization_id: UUID | None = None

    @property
    def invitations(self) -> ColumnElement[bool]:
        if self.project_id:
            return Invitation.project_id == self.project_id
        return Invitation.organization_id == self.organization_id


def normalize_email(email: str) -> str:
    """The form in which GoTrue stores addresses."""
    return email.strip().lower()


def hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class SentInvitation:
    row: ProjectRow
    token: str


class InvitationRepository:
    """The invitations to one project or organization."""

    def __init__(self, tx: AsyncSession, caller: Caller, target: InvitationTarget) -> None:
        self.tx = tx
        self.caller = caller
        self.target = target

    @property
    def rows(self) -> Select[Any]:
        return select(
            Invitation.id,
            Invitation.email,
            Invitation.role,
            Invitation.organization_id,
            Invitation.project_id,
            CURRENT_STATUS.label("status"),
            func.private.email_of(Invitation.invited_by).label("invited_by"),
            Invitation.created_at,
            Invitation.expires_at,
            Invitation.ended_at,
        ).where(self.target.invitations)

    @property
    def pending(self) -> Select[Any]:
        return self.rows.where(Invitation.status == PENDING, Invitation.expires_at > func.now())

    async def page(self, limit: int, cursor: str | None, status: InvitationStatus | None) -> PageRows[ProjectRow]:
        await self.check_access()
        rows = self.rows.where(CURRENT_STATUS.in_([status])) if status else self.rows
        return await read_page(self.tx, rows, limit, cursor)

    async def add(self, email: str, role: str) -> SentInvitation:
        self._check_role(role)
        await self.check_access()
        address, token = normalize_email(email), secrets.token_urlsafe(32)
        await self.tx.execute(LOCK_TARGET_SQL, {"name": f"invite:{self.target}"})
        await self._check_new(address)
        invitation_id = await self.tx.scalar(
            insert(Invitation)
            .values(
                project_id=self.target.project_id,
                organization_id=self.target.organization_id,
                email=address,
                role=role,
                token_hash=hash_token(token),
                invited_by=self.caller.creator,
                expires_at=func.now() + VALID_FOR,
            )
            .returning(Invitation.id)
        )
        found = await self.tx.execute(self.rows.where(Invitation.id == invitation_id))
        return SentInvitation(found.one(), token)

    async def find_pending(self, email: str) -> ProjectRow | None:
        """For callers whose access was checked before."""
        query = self.pending.where(Invitation.email == normalize_email(email))
        found: ProjectRow | None = (await self.tx.execute(query)).first()
        return found

    async def change(self, invitation_id: UUID, role: str) -> None:
        self._check_role(role)
        await self.check_access()
        await self._end_or_change(invitation_id, role=role, invited_by=self.caller.creator)

    async def withdraw(self, invitation_id: UUID) -> None:
        await self.check_access()
        await self._end_or_change(invitation_id, status=InvitationStatus.WITHDRAWN, ended_at=func.now())

    async def check_access(self) -> None:
        """Only owners send and see invitations. An API key has no role, but its scope was checked by the route."""
        if self.target.project_id:
            await ProjectRepository(self.tx, self.caller).get(self.target.project_id, owner=True)
        elif self.target.organization_id:
            if self.caller.account_id is None:
                raise Forbidden("An API key cannot invite people to an organization. An owner must sign in to do this.")
            await OrganizationRepository(self.tx, self.caller).get(self.target.organization_id, owner=True)

    def _check_role(self, role: str) -> None:
        """Only a person makes owners. A key of the operator may, because its project can have no owner yet."""
        if role == OWNER and self.caller.key_created_by:
            raise Forbidden("An API key cannot make anyone an owner. An owner must sign in to do this.")

    async def _check_new(self, email: str) -> None:
        expired = Invitation.status == PENDING, Invitation.expires_at <= func.now()
        values = {"status": InvitationStatus.EXPIRED, "ended_at": Invitation.expires_at}
        await self.tx.execute(update(Invitation).where(self.target.invitations, *expired).values(**values))
        where = self.target.organization_id, self.target.project_id
        if await self.tx.scalar(select(func.private.has_member(email, *where))):
            raise Conflict("This person is already a member. Change their role instead.")
        if await self.find_pending(email):
            raise Conflict("An invitation to this address is pending. Withdraw it to send a new one.")
        await self._check_limit()

    async def _check_limit(self) -> None:
        first_expires = func.min(Invitation.created_at) + ONE_DAY - func.now()
        query = select(func.count().label("sent"), func.extract("epoch", first_expires).label("seconds"))
        query = query.where(self.target.invitations, Invitation.created_at > func.now() - ONE_DAY)
        today = (await self.tx.execute(query)).one()
        if today.sent >= SENT_A_DAY:
            seconds = max(1, math.ceil(today.seconds))
            raise TooManyRequests(
                f"At most {SENT_A_DAY} invitations a day are sent to one project or organization."
                f" Retry after {count_of(seconds, 'second')}.",
                headers={"Retry-After": str(seconds)},
            )

    async def _end_or_change(self, invitation_id: UUID, **values: object) -> None:
        pending = Invitation.status == PENDING, Invitation.expires_at > func.now()
        query = update(Invitation).where(self.target.invitations, Invitation.id == invitation_id, *pending)
        if await self.tx.scalar(query.values(**values).returning(Invitation.id)) is None:
            raise NotFound("There is no pending invitation with this id.")


async def find_target(tx: AsyncSession, invitation_id: UUID) -> InvitationTarget:
    row = (
        await tx.execute(
            select(Invitation.project_id, Invitation.organization_id).where(Invitation.id == invitation_id)
        )
    ).first()
    if row is None:
        raise NotFound("There is no pending invitation with this id.")
    return InvitationTarget(row.project_id, row.organization_id)
