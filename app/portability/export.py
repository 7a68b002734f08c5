"""Export all memories of a project to a file, one JSON object per line."""

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
from app.memory.ledger import Memory, is_memory
from app.portability.line_format import memory_line
from app.profiles.models import Profile
from app.projects.models import Project

BATCH_SIZE = 500
ReportProgress = Callable[[int, int], None]


async def choose_project(database: Database, requested: UUID | None) -> UUID:
    """The requested project, or the only project of the instance."""
    async with database.system() as tx:
        query = select(Project.id).where(Project.id == requested) if requested else select(Project.id).limit(2)
        found = list(await tx.scalars(query))
    if not found:
        raise NotFound(
            f"There is no project {requested}"
            if requested
            else "There is no project yet. Sign up, or create an API key."
        )
    if len(found) > 1:
        raise BadRequest("There are several projects. Choose one with --project. GET /v1/projects lists their ids.")
    return found[0]


async def export_memories(database: Database, project_id: UUID, target: Path, report: ReportProgress) -> int:
    """Write to a draft file first, so that an interrupted export never looks complete."""
    if not await asyncio.to_thread(target.parent.is_dir):
        raise BadRequest(f"There is no folder {target.parent}. Create it, or name another file.")
    draft, done = target.with_name(f".{target.name}.part"), 0
    async with database.transaction(project_id) as tx:
        total = (
            await tx.scalar(
                select(func.count()).select_from(Memory).where(Memory.project_id == project_id, is_memory())
            )
            or 0
        )
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        last: Memory | None = None
        while rows := await _read_batch(database, project_id, last):
            for row, profile in rows:
                file.write(to_json(memory_line(row, profile)) + b"\n")
            last, done = rows[-1][0], done + len(rows)
            report(done, max(done, total))
    draft.replace(target)
    return done


async def _read_batch(database: Database, project_id: UUID, last: Memory | None) -> list[tuple[Memory, str | None]]:
    """Each batch has its own transaction. The order is by age, so that memories added meanwhile come last."""
    async with database.transaction(project_id) as tx:
        return await _select_batch(tx, project_id, last)


async def _select_batch(tx: AsyncSession, project_id: UUID, last: Memory | None) -> list[tuple[Memory, str | None]]:
    query = (
        select(Memory, Profile.name, Profile.is_default)
        .join(Profile, (Profile.id == Memory.profile_id) & (Profile.project_id == Memory.project_id), isouter=True)
        .where(Memory.project_id == project_id, is_memory())
        .order_by(Memory.created_at, Memory.id)
        .limit(BATCH_SIZE)
    )
    if last is not None:
        query = query.where(tuple_(Memory.created_at, Memory.id) > (last.created_at, last.id))
    return [(row, None if is_default else name) for row, name, is_default in await tx.execute(query)]


def parse_json(line: bytes | str, number: int) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise BadRequest(f"Line {number} of the file is not JSON. Write one memory per line, or one list.") from None
