"""Who belongs to an organization or a project. Built for whoever asks, and asks first whether they may."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, literal, select, union_all, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.pagination import Rows
from app.core.errors import Conflict, Forbidden, NotFound
from app.identity.caller import Caller
from app.projects.models import Organization, OrganizationMember, Project, ProjectMember
from app.projects.provisioning import enter
from app.projects.repository import OWNER, USER, Found, OrganizationRepository, ProjectRepository, read_page


async def find_account(tx: AsyncSession, email: str) -> UUID:
    found: UUID | None = await tx.scalar(select(func.private.account_of(email)))
    if found is None:
        raise NotFound("Nobody here has signed up with this e-mail address: ask them to sign up first")
    return found


async def place_account(tx: AsyncSession, email: str, *, shared: bool) -> UUID:
    """Before it is let in elsewhere it has a place of its own, where what it does without naming a project stays."""
    account = await find_account(tx, email)
    await enter(tx, account, email, shared=shared)
    return account


async def add_member(tx: AsyncSession, member: OrganizationMember | ProjectMember) -> None:
    member.created_at = func.clock_timestamp()  # after the place of its own, which this transaction may have made
    tx.add(member)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise Conflict("This person already is a member: change their role instead") from error


async def find_member(tx: AsyncSession, members: Select[Any], account_id: UUID) -> Found:
    found = members.subquery()
    member = (await tx.execute(select(found).where(found.c.account_id == account_id))).first()
    if member is None:
        raise NotFound(f"There is no member {account_id}")
    return member


class OrganizationMemberRepository:
    def __init__(self, tx: AsyncSession, caller: Caller, organization_id: UUID) -> None:
        self.tx = tx
        self.caller = caller
        self.organization_id = organization_id

    @property
    def rows(self) -> Select[Any]:
        account = OrganizationMember.account_id
        return select(
            *(account, account.label("id"), func.private.email_of(account).label("email")),
            *(OrganizationMember.role, OrganizationMember.created_at),
        ).where(OrganizationMember.organization_id == self.organization_id)

    async def page(self, limit: int, cursor: str | None) -> Rows[Found]:
        await self._admit()
        return await read_page(self.tx, self.rows, limit, cursor)

    async def add(self, email: str, role: str, *, shared: bool) -> Found:
        await self._admit(owner=True)
        account = await place_account(self.tx, email, shared=shared)
        member = OrganizationMember(organization_id=self.organization_id, account_id=account, role=role)
        await add_member(self.tx, member)
        return await find_member(self.tx, self.rows, account)

    async def change(self, account_id: UUID, role: str) -> Found:
        await self._admit(owner=True)
        await find_member(self.tx, self.rows, account_id)
        if role != OWNER:
            await self._keep_an_owner(account_id)
        await self.tx.execute(update(OrganizationMember).where(*self._one(account_id)).values(role=role))
        return await find_member(self.tx, self.rows, account_id)

    async def remove(self, account_id: UUID) -> None:
        """Owners remove anybody; everybody may leave."""
        await self._admit(owner=account_id != self.caller.account_id)
        await find_member(self.tx, self.rows, account_id)
        await self._keep_an_owner(account_id)
        await self.tx.execute(delete(OrganizationMember).where(*self._one(account_id)))

    async def _admit(self, *, owner: bool = False) -> None:
        await OrganizationRepository(self.tx, self.caller).get(self.organization_id, owner=owner)

    async def _keep_an_owner(self, account_id: UUID) -> None:
        """One at a time for each organization: two owners who leave at once must not both see the other one stay."""
        this = select(Organization.id).where(Organization.id == self.organization_id)
        await self.tx.execute(this.with_for_update())
        others = select(OrganizationMember.account_id).where(
            OrganizationMember.organization_id == self.organization_id,
            OrganizationMember.role == OWNER,
            OrganizationMember.account_id != account_id,
        )
        if await self.tx.scalar(others.limit(1)) is None:
            raise Conflict("This is the organization's last owner: make somebody else an owner first")

    def _one(self, account_id: UUID) -> tuple[ColumnElement[bool], ...]:
        mine = OrganizationMember.organization_id == self.organization_id
        return mine, OrganizationMember.account_id == account_id


class ProjectMemberRepository:
    def __init__(self, tx: AsyncSession, caller: Caller, project_id: UUID) -> None:
        self.tx = tx
        self.caller = caller
        self.project_id = project_id

    @property
    def rows(self) -> Select[Any]:
        """Everybody who may enter, each once with the strongest of their roles ('OWNER' < 'READER' < 'USER')."""
        member = self._entries().subquery()
        since = func.min(member.c.created_at).label("created_at")
        return select(
            *(member.c.account_id, member.c.account_id.label("id")),
            *(func.private.email_of(member.c.account_id).label("email"), func.min(member.c.role).label("role"), since),
            func.bool_and(member.c.inherited).label("inherited"),
        ).group_by(member.c.account_id)

    def _entries(self) -> Any:
        own = select(
            ProjectMember.account_id, ProjectMember.role, ProjectMember.created_at, literal(False).label("inherited")
        ).where(ProjectMember.project_id == self.project_id)
        through_organization = (
            select(OrganizationMember.account_id, OrganizationMember.role, OrganizationMember.created_at, literal(True))
            .join(Project, Project.organization_id == OrganizationMember.organization_id)
            .where(Project.id == self.project_id)
        )
        return union_all(own, through_organization)

    async def page(self, limit: int, cursor: str | None) -> Rows[Found]:
        project = await ProjectRepository(self.tx, self.caller).get(self.project_id)
        if project.role == USER:
            raise Forbidden("End users of a project do not see who else is in it")
        return await read_page(self.tx, self.rows, limit, cursor)

    async def add(self, email: str, role: str, *, shared: bool) -> Found:
        await self._admit(owner=True)
        account = await place_account(self.tx, email, shared=shared)
        await add_member(self.tx, ProjectMember(project_id=self.project_id, account_id=account, role=role))
        return await find_member(self.tx, self.rows, account)

    async def change(self, account_id: UUID, role: str) -> Found:
        await self._admit(owner=True)
        await self._find_own(account_id)
        await self.tx.execute(update(ProjectMember).where(*self._one(account_id)).values(role=role))
        return await find_member(self.tx, self.rows, account_id)

    async def remove(self, account_id: UUID) -> None:
        """Owners remove anybody; everybody may leave."""
        await self._admit(owner=account_id != self.caller.account_id)
        await self._find_own(account_id)
        await self.tx.execute(delete(ProjectMember).where(*self._one(account_id)))

    async def _admit(self, *, owner: bool) -> None:
        await ProjectRepository(self.tx, self.caller).get(self.project_id, owner=owner)

    async def _find_own(self, account_id: UUID) -> None:
        if (await find_member(self.tx, self.rows, account_id)).inherited:
            raise Conflict("This person is here through the organization: change their membership there")

    def _one(self, account_id: UUID) -> tuple[ColumnElement[bool], ...]:
        return ProjectMember.project_id == self.project_id, ProjectMember.account_id == account_id
