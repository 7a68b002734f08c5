"""Members of organizations and projects. Each method first checks the rights of the caller."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, literal, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.pagination import PageRows
from app.core.errors import Conflict, Forbidden, NotFound
from app.identity.caller import Caller
from app.projects.invitations import normalize_email
from app.projects.models import Organization, OrganizationMember, Project, ProjectMember
from app.projects.repository import OWNER, USER, OrganizationRepository, ProjectRepository, ProjectRow, read_page


async def find_member(tx: AsyncSession, members: Select[Any], account_id: UUID) -> ProjectRow:
    found = members.subquery()
    member = (await tx.execute(select(found).where(found.c.account_id == account_id))).first()
    if member is None:
        raise NotFound(f"There is no member {account_id}")
    return member


async def find_member_by_email(tx: AsyncSession, members: Select[Any], email: str) -> ProjectRow | None:
    """Looks at the members only, so that the response does not reveal who else has an account."""
    found = members.subquery()
    member: ProjectRow | None = (await tx.execute(select(found).where(found.c.email == normalize_email(email)))).first()
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
            account,
            account.label("id"),
            func.private.email_of(account).label("email"),
            OrganizationMember.role,
            OrganizationMember.created_at,
        ).where(OrganizationMember.organization_id == self.organization_id)

    async def page(self, limit: int, cursor: str | None) -> PageRows[ProjectRow]:
        await self._check_access()
        return await read_page(self.tx, self.rows, limit, cursor)

    async def change(self, account_id: UUID, role: str) -> ProjectRow:
        await self._check_access(owner=True)
        await find_member(self.tx, self.rows, account_id)
        if role != OWNER:
            await self._check_another_owner(account_id)
        await self.tx.execute(update(OrganizationMember).where(*self._one(account_id)).values(role=role))
        return await find_member(self.tx, self.rows, account_id)

    async def remove(self, account_id: UUID) -> None:
        """Owners can remove any member. Members can remove themselves."""
        await self._check_access(owner=account_id != self.caller.account_id)
        await find_member(self.tx, self.rows, account_id)
        await self._check_another_owner(account_id)
        await self.tx.execute(delete(OrganizationMember).where(*self._one(account_id)))

    async def _check_access(self, *, owner: bool = False) -> None:
        await OrganizationRepository(self.tx, self.caller).get(self.organization_id, owner=owner)

    async def _check_another_owner(self, account_id: UUID) -> None:
        """Lock the organization, so that two owners who leave at once do not each count on the other."""
        organization = select(Organization.id).where(Organization.id == self.organization_id)
        await self.tx.execute(organization.with_for_update())
        others = select(OrganizationMember.account_id).where(
            OrganizationMember.organization_id == self.organization_id,
            OrganizationMember.role == OWNER,
            OrganizationMember.account_id != account_id,
        )
        if await self.tx.scalar(others.limit(1)) is None:
            raise Conflict("This is the last owner of the organization. Make another member an owner first.")

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
        """All members, each once with the strongest role: roles sort as 'OWNER' < 'READER' < 'USER'."""
        member = self._entries().subquery()
        return select(
            member.c.account_id,
            member.c.account_id.label("id"),
            func.private.email_of(member.c.account_id).label("email"),
            func.min(member.c.role).label("role"),
            func.min(member.c.created_at).label("created_at"),
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

    async def page(self, limit: int, cursor: str | None) -> PageRows[ProjectRow]:
        project = await ProjectRepository(self.tx, self.caller).get(self.project_id)
        if project.role == USER:
            raise Forbidden("End users of a project cannot list its members.")
        return await read_page(self.tx, self.rows, limit, cursor)

    async def change(self, account_id: UUID, role: str) -> ProjectRow:
        self._check_role(role)
        await self._check_access(owner=True)
        await self._find_own(account_id)
        await self.tx.execute(update(ProjectMember).where(*self._one(account_id)).values(role=role))
        return await find_member(self.tx, self.rows, account_id)

    async def remove(self, account_id: UUID) -> None:
        """Owners can remove any member. Members can remove themselves."""
        await self._check_access(owner=account_id != self.caller.account_id)
        await self._find_own(account_id)
        await self.tx.execute(delete(ProjectMember).where(*self._one(account_id)))

    def _check_role(self, role: str) -> None:
        """Only a person makes owners. A key of the operator may, because its project can have no owner yet."""
        if role == OWNER and self.caller.key_created_by:
            raise Forbidden("An API key cannot make anyone an owner. An owner must sign in to do this.")

    async def _check_access(self, *, owner: bool) -> None:
        await ProjectRepository(self.tx, self.caller).get(self.project_id, owner=owner)

    async def _find_own(self, account_id: UUID) -> None:
        if (await find_member(self.tx, self.rows, account_id)).inherited:
            raise Conflict("This person is a member through the organization. Change their membership there.")

    def _one(self, account_id: UUID) -> tuple[ColumnElement[bool], ...]:
        return ProjectMember.project_id == self.project_id, ProjectMember.account_id == account_id
