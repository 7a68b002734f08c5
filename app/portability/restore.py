"""Import memories from a file: one of our exports, or the memories of mem0's open-source library.

An import can be repeated: memories that exist already stay unchanged. The indexer adds the new ones to the index.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.errors import BadRequest
from app.memory.ledger import MemoryRepository
from app.memory.namespace import Namespace
from app.portability.export import BATCH_SIZE, ReportProgress, parse_json
from app.portability.line_format import ImportedMemory, Line, read_line
from app.profiles.models import Profile
from app.profiles.repository import ProfileRepository

SELECT_EXISTING_MEMORIES_SQL = text("select id, project_id from memories where id = any(:ids)")


@dataclass(frozen=True, slots=True)
class ImportResult:
    added: int
    already_there: int


async def import_memories(
    database: Database, project_id: UUID, source: Path, report: ReportProgress, *, user_id: str | None = None
) -> ImportResult:
    """Read the whole file before writing, so that an invalid line does not leave a partial import."""
    total = len([read_line(line, number, user_id).new.id for number, line in enumerate(read_lines(source), 1)])
    lines, done, added = enumerate(read_lines(source), 1), 0, 0
    while batch := [read_line(line, number, user_id) for number, line in islice(lines, BATCH_SIZE)]:
        added += await _write(database, project_id, batch)
        done += len(batch)
        report(done, total)
    return ImportResult(added, done - added)


def read_lines(source: Path) -> Iterator[Line]:
    """Read one memory per line, or one JSON document: a list, or a response of mem0, `{"results": […]}`."""
    try:
        with source.open("rb") as file:
            first = file.readline()
            file.seek(0)
            whole = first.lstrip().startswith(b"[") or not _is_json(first)
            for number, line in enumerate(_read_document(file.read()) if whole else _read_each_line(file), 1):
                yield from _unfold_line(line, number)
    except OSError as error:
        raise BadRequest(f"{source} cannot be read ({error.strerror}).") from None


def _read_each_line(file: Iterable[bytes]) -> Iterator[object]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield parse_json(line, number)


def _read_document(text: bytes) -> Iterator[object]:
    document = parse_json(text, 1)
    yield from document if isinstance(document, list) else [document]


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _unfold_line(line: object, number: int) -> Iterator[Line]:
    if not isinstance(line, dict):
        raise BadRequest(
            f"Line {number} of the file is not a memory. Write a JSON object with its text under `memory`."
        )
    inside = line.get("results", line.get("points"))
    if isinstance(inside, list):
        for each in inside:
            yield from _unfold_line(each, number)
    else:
        yield line


async def _write(database: Database, project_id: UUID, batch: Sequence[ImportedMemory]) -> int:
    async with database.system() as tx:
        ids = [each.new.id for each in batch]
        elsewhere = {
            row.id
            for row in await tx.execute(SELECT_EXISTING_MEMORIES_SQL, {"ids": ids})
            if row.project_id != project_id
        }
    # If the id belongs to another project of this instance, derive a stable id for this project.
    own = [
        replace(each, new=replace(each.new, id=uuid.uuid5(project_id, str(each.new.id))))
        if each.new.id in elsewhere
        else each
        for each in batch
    ]
    async with database.transaction(project_id) as tx:
        return await _write_all(tx, project_id, own)


async def _write_all(tx: AsyncSession, project_id: UUID, batch: Sequence[ImportedMemory]) -> int:
    known = {row.id for row in await tx.execute(SELECT_EXISTING_MEMORIES_SQL, {"ids": [each.new.id for each in batch]})}
    fresh = {each.new.id: each for each in batch if each.new.id not in known}
    repository = MemoryRepository(tx, project_id)
    for user_id, profile in dict.fromkeys((each.user_id, each.profile) for each in fresh.values()):
        namespace = await _find_namespace(tx, project_id, user_id, profile)
        mine = [each.new for each in fresh.values() if (each.user_id, each.profile) == (user_id, profile)]
        await repository.add_all(namespace, mine, deduplicate=False)
    return len(fresh)


async def _find_namespace(tx: AsyncSession, project_id: UUID, user_id: str | None, profile: str | None) -> Namespace:
    if user_id is None:
        return Namespace(project_id)
    profiles = ProfileRepository(tx, project_id)
    default = await profiles.default_of(user_id)
    if profile is None:
        return Namespace(project_id, user_id, default.id)
    query = select(Profile).where(*profiles.mine(), Profile.user_id == user_id, Profile.name == profile)
    found = await tx.scalar(query) or await profiles.create(user_id, is_default=False, name=profile)
    return Namespace(project_id, user_id, found.id)
