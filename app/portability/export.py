"""Every memory of a project, one JSON object a line: for another instance, another system, or a drawer."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.errors import BadRequest, NotFound
from app.memory.ledger.models import Memory
from app.portability.line_format import as_line
from app.profiles.models import Profile
from app.projects.models import Project

AT_ONCE = 500
Report = Callable[[int, int], None]


async def only_project(database: Database, wanted: UUID | None) -> UUID:
    """The project named, or the only one there is."""
    async with database.system() as tx:
        query = select(Project.id).where(Project.id == wanted) if wanted else select(Project.id).limit(2)
        found = list(await tx.scalars(query))
    if not found:
        raise NotFound(f"There is no project {wanted}" if wanted else "There is no project yet: sign up, or make a key")
    if len(found) > 1:
        raise BadRequest("There are several projects: say which one with --project; GET /v1/projects has their ids")
    return found[0]


async def export_memories(database: Database, project_id: UUID, target: Path, report: Report) -> int:
    """Written beside the target first: an export that was interrupted never looks like a whole one."""
    if not await asyncio.to_thread(target.parent.is_dir):
        raise BadRequest(f"There is no folder {target.parent}: make it, or name another file")
    draft, done = target.with_name(f".{target.name}.part"), 0
    async with database.transaction(project_id) as tx:
        total = await tx.scalar(select(func.count()).select_from(Memory).where(Memory.project_id == project_id)) or 0
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        last: Memory | None = None
        while rows := await _some(database, project_id, last):
            for row, profile in rows:
                file.write(to_json(as_line(row, profile)) + b"\n")
            last, done = rows[-1][0], done + len(rows)
            report(done, max(done, total))
    draft.replace(target)
    return done


async def _some(database: Database, project_id: UUID, last: Memory | None) -> list[tuple[Memory, str | None]]:
    """Each page in a transaction of its own, oldest first, so that what is added meanwhile comes at the end."""
    async with database.transaction(project_id) as tx:
        return await _page(tx, project_id, last)


async def _page(tx: AsyncSession, project_id: UUID, last: Memory | None) -> list[tuple[Memory, str | None]]:
    query = (
        select(Memory, Profile.name, Profile.is_default)
        .join(Profile, (Profile.id == Memory.profile_id) & (Profile.project_id == Memory.project_id), isouter=True)
        .where(Memory.project_id == project_id)
        .order_by(Memory.created_at, Memory.id)
        .limit(AT_ONCE)
    )
    if last is not None:
        query = query.where(tuple_(Memory.created_at, Memory.id) > (last.created_at, last.id))
    return [(row, None if is_default else name) for row, name, is_default in await tx.execute(query)]


def loads(line: bytes | str, place: int) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise BadRequest(f"Line {place} of the file is not JSON: write one memory a line, or one list") from None
