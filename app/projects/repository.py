"""Organizations, projects and settings. Every query starts from what the caller is a member of."""

from typing import Any
from uuid import UUID

from sqlalchemy import FromClause, Row, Select, case, delete, false, func, literal, null, select, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.pagination import PageRows, read_cursor
from app.core.database.repository import cut_page
from app.core.errors import Forbidden, NotFound
from app.core.ports import EmbedderChoice
from app.identity.caller import Caller
from app.projects.embedder import choose_embedder
from app.projects.models import Organization, OrganizationMember, Project, ProjectEmbedder

OWNER, USER = "OWNER", "USER"
ProjectRow = Row[Any]
OWN_SETTINGS = ("list_episodes", "consolidate")
"""The settings that the routes of this API change. Those of mem0's API have routes of their own."""


async def read_page(tx: AsyncSession, query: Select[Any], limit: int, cursor: str | None) -> PageRows[ProjectRow]:
    """Read a page, newest first, from a query with the columns `id` and `created_at`."""
    rows = query.subquery()
    position = tuple_(rows.c.created_at, rows.c.id)
    page = select(rows).order_by(rows.c.created_at.desc(), rows.c.id.desc()).limit(limit + 1)
    if cursor:
        page = page.where(position < read_cursor(cursor))
    return cut_page(list(await tx.execute(page)), limit)


def require_owner(role: str | None, noun: str) -> None:
    """An API key has no role. Its scopes were checked by the route."""
    if role not in (None, OWNER):
        raise Forbidden(f"Only an owner of this {noun} can do this.")


class OrganizationRepository:
    """The organizations that an account is a member of."""

    def __init__(self, tx: AsyncSession, caller: Caller) -> None:
        self.tx = tx
        self.account_id = caller.account_id

    @property
    def rows(self) -> Select[Any]:
        return (
            select(*Organization.__table__.c, OrganizationMember.role)
            .join(OrganizationMember, OrganizationMember.organization_id == Organization.id)
            .where(OrganizationMember.account_id == self.account_id)
        )

    async def page(self, limit: int, cursor: str | None) -> PageRows[ProjectRow]:
        return await read_page(self.tx, self.rows, limit, cursor)

    async def get(self, organization_id: UUID, *, owner: bool = False) -> ProjectRow:
        """Raise 404 for accounts that are not members, and 403 for readers if `owner` is required."""
        found: ProjectRow | None = (await self.tx.execute(self.rows.where(Organization.id == organization_id))).first()
        if found is None:
            raise NotFound(f"There is no organization {organization_id}")
        if owner:
            require_owner(found.role, "organization")
        return found

    async def first_owned(self) -> UUID:
        """Organizations of its own come first. One that the account did not choose is never the default."""
        chosen = self.rows.where(OrganizationMember.role == OWNER, OrganizationMember.joined != "added")
        query = chosen.order_by(
            OrganizationMember.joined.desc(), Organization.personal.desc(), Organization.created_at, Organization.id
        )
        found = (await self.tx.execute(query.limit(1))).first()
        if found is None:
            raise Forbidden("You do not own an organization. Create one with POST /v1/organizations first.")
        owned: UUID = found.id
        return owned

    async def add(self, name: str) -> ProjectRow:
        organization = Organization(name=name)
        self.tx.add(organization)
        await self.tx.flush()
        self.tx.add(
            OrganizationMember(
                organization_id=organization.id, account_id=self.account_id, role=OWNER, joined="created"
            )
        )
        await self.tx.flush()
        return await self.get(organization.id)

    async def update(self, organization_id: UUID, **values: object) -> ProjectRow:
        await self.get(organization_id, owner=True)
        if values:
            await self.tx.execute(update(Organization).where(Organization.id == organization_id).values(**values))
        return await self.get(organization_id)

    async def delete(self, organization_id: UUID) -> list[UUID]:
        """Cascades to all projects of the organization, and returns them."""
        await self.get(organization_id, owner=True)
        projects = list(await self.tx.scalars(select(Project.id).where(Project.organization_id == organization_id)))
        await self.tx.execute(delete(Organization).where(Organization.id == organization_id))
        return projects


class ProjectRepository:
    """The projects that a caller can access: those of an account by membership, or the project of an API key."""

    def __init__(self, tx: AsyncSession, caller: Caller) -> None:
        self.tx = tx
        self.caller = caller

    @property
    def accessible(self) -> FromClause:
        if self.caller.account_id is None:
            own = select(literal(self.caller.project_id).label("project_id"), null().label("role"))
            return own.subquery()
        return func.private.projects_of(self.caller.account_id).table_valued("project_id", "role")

    @property
    def rows(self) -> Select[Any]:
        """End users of a project do not see its organization or its description."""
        role = (accessible := self.accessible).c.role
        is_end_user = role == USER
        return (
            select(
                Project.id,
                Project.name,
                Project.created_at,
                Project.updated_at,
                (func.coalesce(Project.settings["list_episodes"].astext, "true") == "true").label("list_episodes"),
                (func.coalesce(Project.settings["consolidate"].astext, "false") == "true").label("consolidate"),
                role,
                case((is_end_user, null()), else_=Project.organization_id).label("organization_id"),
                case((is_end_user, null()), else_=Project.description).label("description"),
                func.coalesce(ProjectEmbedder.chosen, EmbedderChoice.ENGLISH.value).label("embedder"),
                case((ProjectEmbedder.phase == "filling", ProjectEmbedder.done)).label("embedded_memories"),
                case((ProjectEmbedder.phase == "filling", ProjectEmbedder.total)).label("memories_to_embed"),
                func.coalesce(ProjectEmbedder.serving != ProjectEmbedder.chosen, false()).label("is_changing_embedder"),
            )
            .join(accessible, accessible.c.project_id == Project.id)
            .outerjoin(ProjectEmbedder, ProjectEmbedder.project_id == Project.id)
        )

    async def page(self, limit: int, cursor: str | None) -> PageRows[ProjectRow]:
        return await read_page(self.tx, self.rows, limit, cursor)

    async def get(self, project_id: UUID, *, owner: bool = False) -> ProjectRow:
        found: ProjectRow | None = (await self.tx.execute(self.rows.where(Project.id == project_id))).first()
        if found is None:
            raise NotFound(f"There is no project {project_id}")
        if owner:
            require_owner(found.role, "project")
        return found

    async def add(self, organization_id: UUID | None, *, name: str, description: str | None) -> ProjectRow:
        organizations = OrganizationRepository(self.tx, self.caller)
        owned = organization_id or await organizations.first_owned()
        await organizations.get(owned, owner=True)
        project = Project(organization_id=owned, name=name, description=description)
        self.tx.add(project)
        await self.tx.flush()
        return await self.get(project.id)

    async def update(self, project_id: UUID, *, embedder: EmbedderChoice | None = None, **values: object) -> ProjectRow:
        await self.get(project_id, owner=True)
        if settings := {name: values.pop(name) for name in OWN_SETTINGS if name in values}:
            values["settings"] = Project.settings.op("||")(literal(settings, JSONB))
        if embedder is not None:
            await choose_embedder(self.tx, project_id, embedder)
        if values:
            await self.tx.execute(update(Project).where(Project.id == project_id).values(**values))
        return await self.get(project_id)

    async def delete(self, project_id: UUID) -> None:
        """Cascades to keys, profiles, sessions and memories."""
        await self.get(project_id, owner=True)
        await self.tx.execute(delete(Project).where(Project.id == project_id))


class SettingsRepository:
    """The settings of one project, read and changed in a transaction of that project."""

    def __init__(self, tx: AsyncSession, project_id: UUID) -> None:
        self.tx = tx
        self.project_id = project_id

    async def get(self) -> dict[str, Any]:
        query = select(Project.settings).where(Project.id == self.project_id)
        settings: dict[str, Any] | None = await self.tx.scalar(query)
        if settings is None:
            raise NotFound(f"There is no project {self.project_id}")
        return settings

    async def change(self, **settings: object) -> dict[str, Any]:
        """Merge in one statement, so that concurrent changes of different settings are all kept."""
        merged = Project.settings.op("||")(literal(settings, JSONB))
        mine = Project.id == self.project_id
        await self.tx.execute(update(Project).where(mine).values(settings=merged))
        return await self.get()
