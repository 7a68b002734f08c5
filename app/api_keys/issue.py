"""Issue an API key from the command line, for an operator without an account."""

from uuid import UUID

from sqlalchemy import insert, select

from app.api_keys.repository import ApiKeyRepository
from app.core.database.database import Database
from app.core.errors import NotFound
from app.identity.scopes import EVERYTHING
from app.projects.models import Organization, Project


async def issue_key(database: Database, pepper: bytes, *, name: str, project_id: UUID | None) -> str:
    project_id = await _check_exists(database, project_id) if project_id else await create_project(database, name)
    async with database.transaction(project_id) as tx:
        _, text = await ApiKeyRepository(tx, project_id).issue(
            pepper, name=name, scopes=sorted(EVERYTHING), expires_at=None, created_by=None
        )
    return text


async def _check_exists(database: Database, project_id: UUID) -> UUID:
    async with database.system() as tx:
        if await tx.scalar(select(Project.id).where(Project.id == project_id)) is None:
            raise NotFound(f"There is no project {project_id}")
    return project_id


async def create_project(database: Database, name: str) -> UUID:
    async with database.system() as tx:
        organization = await tx.scalar(insert(Organization).values(name=name).returning(Organization.id))
        project_id: UUID | None = await tx.scalar(
            insert(Project).values(organization_id=organization, name=name).returning(Project.id)
        )
    assert project_id is not None
    return project_id
