"""Give a new account its first project, and erase what only a deleted account owned."""

from collections.abc import Sequence
from uuid import UUID

import structlog
from sqlalchemy import Select, delete, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.errors import Conflict
from app.core.ports import ShortTerm
from app.projects.models import Organization, OrganizationMember, Project, ProjectMember

log = structlog.get_logger()
FORGET_ACCOUNT_SQL = text("select private.forget_account(:account)")
COUNT_DEFAULT_PROJECTS_SQL = text("select count(*) from private.projects_of(:id) where preference is not null")
LOCK_NAME_SQL = text("select pg_advisory_xact_lock(hashtextextended(:name, 0))")


async def provision_account(
    database: Database, account_id: UUID, email: str, *, shared: bool, closed: bool = False
) -> None:
    """Give the account a project unless it has its own or an accepted one. Concurrent calls create one project."""
    if closed:
        return
    async with database.system() as tx:
        await ensure_project(tx, account_id, email, shared=shared)


async def ensure_project(tx: AsyncSession, account_id: UUID, email: str, *, shared: bool) -> None:
    await tx.execute(LOCK_NAME_SQL, {"name": f"enter:{account_id}"})
    if await tx.scalar(COUNT_DEFAULT_PROJECTS_SQL, {"id": account_id}):
        return
    if shared:
        await _join_shared(tx, account_id)
    else:
        await _make_personal(tx, account_id, email)


async def shared_project(tx: AsyncSession) -> UUID:
    """The project of SIGNUP_MODE=shared, created on first use."""
    await tx.execute(LOCK_NAME_SQL, {"name": "shared project"})
    found: UUID | None = await tx.scalar(select(Project.id).where(Project.shared))
    if found:
        return found
    organization = await tx.scalar(insert(Organization).values(name="Shared").returning(Organization.id))
    values = {"organization_id": organization, "name": "Shared", "shared": True}
    project: UUID | None = await tx.scalar(insert(Project).values(**values).returning(Project.id))
    assert project is not None
    return project


async def _join_shared(tx: AsyncSession, account_id: UUID) -> None:
    project = await shared_project(tx)
    await tx.execute(
        upsert(ProjectMember)
        .values(project_id=project, account_id=account_id, role="USER", joined="accepted")
        .on_conflict_do_update(index_elements=["project_id", "account_id"], set_={"joined": "accepted"})
    )


async def _make_personal(tx: AsyncSession, account_id: UUID, email: str) -> None:
    """After an account deletes its last project, the next one goes into the same personal organization."""
    own = _owned_by(account_id).where(OrganizationMember.joined == "created")
    emptied = select(Organization.id).where(Organization.personal, Organization.id.in_(own))
    organization = await tx.scalar(emptied.limit(1)) or await _make_organization(tx, account_id, email)
    await tx.execute(insert(Project).values(organization_id=organization, name="My project"))


async def _make_organization(tx: AsyncSession, account_id: UUID, email: str) -> UUID:
    name = f"{email or account_id} (personal)"[:200]
    values = {"name": name, "personal": True}
    organization: UUID | None = await tx.scalar(insert(Organization).values(**values).returning(Organization.id))
    assert organization is not None
    await tx.execute(
        insert(OrganizationMember).values(
            organization_id=organization, account_id=account_id, role="OWNER", joined="created"
        )
    )
    return organization


async def erase_account_data(database: Database, account_id: UUID, *, is_deleted: bool = False) -> list[UUID]:
    """Delete the organizations that only this account belongs to, and its own data in all others. Returns the projects
    that were deleted.

    An account that is already deleted cannot name another owner, so its organization goes on without one.
    """
    deleted: list[UUID] = []
    async with database.system() as tx:
        # Lock in a fixed order: of two owners who leave at once, the second must see that the first is gone.
        owned = select(Organization.id).where(Organization.id.in_(_owned_by(account_id))).order_by(Organization.id)
        for organization in list(await tx.scalars(owned.with_for_update())):
            if not await has_other_members(tx, organization, account_id, is_deleted=is_deleted):
                deleted += await tx.scalars(select(Project.id).where(Project.organization_id == organization))
                await tx.execute(delete(Organization).where(Organization.id == organization))
        await tx.execute(FORGET_ACCOUNT_SQL, {"account": account_id})
        await tx.execute(delete(OrganizationMember).where(OrganizationMember.account_id == account_id))
        await tx.execute(delete(ProjectMember).where(ProjectMember.account_id == account_id))
    return deleted


async def check_account_may_leave(database: Database, account_id: UUID) -> None:
    """Raises Conflict if an organization would be left with members and without an owner."""
    async with database.system() as tx:
        for organization in list(await tx.scalars(_owned_by(account_id))):
            await has_other_members(tx, organization, account_id)


async def has_other_members(
    tx: AsyncSession, organization: UUID, account_id: UUID, *, is_deleted: bool = False
) -> bool:
    """Raises Conflict if none of the others is an owner, unless the account is deleted already."""
    others = select(OrganizationMember.role).where(
        OrganizationMember.organization_id == organization, OrganizationMember.account_id != account_id
    )
    roles = set(await tx.scalars(others))
    if roles and "OWNER" not in roles and not is_deleted:
        raise Conflict(f"Organization {organization} has members but no other owner. Make one of them an owner first.")
    return bool(roles)


async def delete_short_term_memory(short_term: ShortTerm, project_ids: Sequence[UUID]) -> None:
    """Of projects that were deleted. What cannot be deleted now expires within a day."""
    for project_id in project_ids:
        try:
            await short_term.delete_tenant(str(project_id))
        except OSError:
            log.warning("projects.short_term_memory_left", project_id=str(project_id))


def _owned_by(account_id: UUID) -> Select[UUID]:
    return select(OrganizationMember.organization_id).where(
        OrganizationMember.account_id == account_id, OrganizationMember.role == "OWNER"
    )
