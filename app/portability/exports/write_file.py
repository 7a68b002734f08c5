"""Export the data of a person or of a project as JSON Lines: a header, a line for each row, and a line with counts."""

import asyncio
import datetime as dt
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import select

from app.core.database.database import Database
from app.core.errors import BadRequest, NotFound
from app.portability.exports.read_rows import DataScope, RowReader
from app.portability.lines import FORMAT_VERSION
from app.projects.embedder import load_embedder
from app.projects.models import Project

COUNTED_TYPES = ("profile", "session", "message", "memory")
"""The lines that progress counts."""
ReportProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ExportPart:
    """A part of the file, and how many of the rows are written with it."""

    content: bytes
    done: int
    total: int
    counts: dict[str, int]


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


async def export_parts(database: Database, scope: DataScope) -> AsyncIterator[ExportPart]:
    reader = RowReader(database, scope)
    total, counts = await reader.count(), Counter[str]()
    header = {"keepsake": "export", "version": FORMAT_VERSION, "created_at": dt.datetime.now(dt.UTC)}
    whole_project = {} if scope.user_id else {"embedder": await load_embedder(database, scope.project_id)}
    yield ExportPart(_encode({**header, "user_id": scope.user_id, **whole_project}), 0, total, {})
    async for lines in reader.read():
        counts.update(str(line["type"]) for line in lines)
        done = sum(counts[name] for name in COUNTED_TYPES)
        yield ExportPart(b"".join(map(_encode, lines)), done, max(done, total), dict(counts))
        await asyncio.sleep(0)
    done = sum(counts[name] for name in COUNTED_TYPES)
    yield ExportPart(_encode({"type": "end", "lines": dict(sorted(counts.items()))}), done, done, dict(counts))


def _encode(line: dict[str, object]) -> bytes:
    return to_json(line) + b"\n"


async def export_to_file(database: Database, scope: DataScope, target: Path, report: ReportProgress) -> dict[str, int]:
    """Write to a draft file first, so that an interrupted export never looks complete. Returns the lines by type."""
    if not await asyncio.to_thread(target.parent.is_dir):
        raise BadRequest(f"There is no folder {target.parent}. Create it, or name another file.")
    draft, counts = target.with_name(f".{target.name}.part"), dict[str, int]()
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        async for part in export_parts(database, scope):
            file.write(part.content)
            counts = part.counts
            report(part.done, part.total)
    draft.replace(target)
    return counts
