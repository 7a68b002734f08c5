"""Encrypts the content of projects that exist, and replaces keys. Both go on where an interrupted run stopped."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from app.core.database.database import Database
from app.core.errors import ConfigurationError
from app.core.ports import ContentKeys
from app.encryption.reseal import Report, is_used, reseal

SELECT_PROJECTS_SQL = text("select id from projects where cast(:id as uuid) is null or id = :id order by id")
SET_CONTENT_KEYS = (
    "Set CONTENT_KEYS to one or more random keys for this command and for every server and worker, and restart these"
    " first. A key is a line of `openssl rand -base64 32`."
)


def content_keys(database: Database) -> ContentKeys:
    if database.content_keys is None:
        raise ConfigurationError(SET_CONTENT_KEYS)
    return database.content_keys


async def list_projects(database: Database, project_id: UUID | None) -> list[UUID]:
    """All projects, or the one with this id."""
    content_keys(database)
    found = [row.id for row in await database.system_pipeline((SELECT_PROJECTS_SQL, {"id": project_id}))]
    if project_id is not None and not found:
        raise ConfigurationError(f"There is no project {project_id}")
    return found


async def encrypt_projects(
    database: Database, projects: Sequence[UUID], report: Report, *, active_after: float
) -> None:
    """A new key is used after `active_after` seconds, when every process has read it."""
    keys = content_keys(database)
    new = [each for each in projects if not await keys.list_prefixes(each)]
    for project_id in new:
        await keys.add(project_id, active_after)
    for project_id in projects:
        await _reseal(database, keys, project_id, report)


async def rotate_keys(database: Database, projects: Sequence[UUID], report: Report, *, active_after: float) -> int:
    """Wrap the keys with the first master key, then replace the key of each encrypted project and encrypt its content
    again. Returns the number of projects."""
    keys = content_keys(database)
    await keys.rewrap(projects)
    encrypted = {each: prefixes for each in projects if (prefixes := await keys.list_prefixes(each))}
    # A project with several keys is one whose rotation was interrupted.
    new = [each for each, prefixes in encrypted.items() if len(prefixes) == 1]
    for project_id in new:
        await keys.add(project_id, active_after)
    for project_id in encrypted:
        await _reseal(database, keys, project_id, report)
        await _remove_old_keys(database, keys, project_id)
    return len(encrypted)


async def _reseal(database: Database, keys: ContentKeys, project_id: UUID, report: Report) -> None:
    # Also after an interruption: content would be sealed with the key before, or not at all.
    await asyncio.sleep(await keys.seconds_until_active(project_id))
    keys.forget(project_id)
    prefixes = await keys.list_prefixes(project_id)
    await reseal(database, project_id, prefixes[-1], report)


async def _remove_old_keys(database: Database, keys: ContentKeys, project_id: UUID) -> None:
    """A key is removed once nothing is sealed with it."""
    for prefix in (await keys.list_prefixes(project_id))[:-1]:
        if not await is_used(database, project_id, prefix):
            await keys.remove(project_id, prefix)
