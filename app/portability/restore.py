"""Memories from a file into a project: from an export of ours, or from what mem0's open-source library has.

Safe to run again: a memory that is there already is left as it is. The index follows by itself.
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
from app.memory.ledger.repository import MemoryRepository
from app.memory.namespace import Namespace
from app.portability.export import AT_ONCE, Report, loads
from app.portability.line_format import Line, Read, read_line
from app.profiles.models import Profile
from app.profiles.repository import ProfileRepository

THERE = text("select id, project_id from memories where id = any(:ids)")
LATER = text("""
update memories m set archived_at = g.archived_at, replaced_by = g.replaced_by,
  access_count = coalesce(g.access_count, 0), accessed_at = coalesce(g.accessed_at, '{}')
from jsonb_to_recordset(cast(:later as jsonb))
  as g (id uuid, archived_at timestamptz, replaced_by uuid, access_count integer, accessed_at timestamptz[])
where m.project_id = :project_id and m.id = g.id
""")


@dataclass(frozen=True, slots=True)
class Imported:
    added: int
    there_already: int


async def import_memories(
    database: Database, project_id: UUID, source: Path, report: Report, *, user_id: str | None = None
) -> Imported:
    """Everything is read before anything is written: a line that cannot be read leaves nothing half done."""
    total = len([read_line(line, place, user_id).new.id for place, line in enumerate(read_lines(source), 1)])
    lines, done, added = enumerate(read_lines(source), 1), 0, 0
    while some := [read_line(line, place, user_id) for place, line in islice(lines, AT_ONCE)]:
        added += await _write(database, project_id, some)
        done += len(some)
        report(done, total)
    return Imported(added, done - added)


def read_lines(source: Path) -> Iterator[Line]:
    """A line each, or one JSON document: a list, or what mem0 answers, `{"results": […]}`."""
    try:
        with source.open("rb") as file:
            first = file.readline()
            file.seek(0)
            whole = first.lstrip().startswith(b"[") or not _is_json(first)
            for place, line in enumerate(_document(file.read()) if whole else _each(file), 1):
                yield from _unfold_line(line, place)
    except OSError as error:
        raise BadRequest(f"{source} cannot be read ({error.strerror})") from None


def _each(file: Iterable[bytes]) -> Iterator[object]:
    for place, line in enumerate(file, 1):
        if line.strip():
            yield loads(line, place)


def _document(words: bytes) -> Iterator[object]:
    document = loads(words, 1)
    yield from document if isinstance(document, list) else [document]


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _unfold_line(line: object, place: int) -> Iterator[Line]:
    if not isinstance(line, dict):
        raise BadRequest(f"Line {place} of the file is not a memory: write a JSON object with its text under `memory`")
    inside = line.get("results", line.get("points"))
    if isinstance(inside, list):
        for each in inside:
            yield from _unfold_line(each, place)
    else:
        yield line


async def _write(database: Database, project_id: UUID, some: Sequence[Read]) -> int:
    async with database.system() as tx:
        ids = [each.new.id for each in some]
        elsewhere = {row.id for row in await tx.execute(THERE, {"ids": ids}) if row.project_id != project_id}
    # Another project of this instance has it already: here it gets an id of its own, the same each time.
    own = [
        replace(each, new=replace(each.new, id=uuid.uuid5(project_id, str(each.new.id))))
        if each.new.id in elsewhere
        else each
        for each in some
    ]
    async with database.transaction(project_id) as tx:
        return await _write_all(tx, project_id, own)


async def _write_all(tx: AsyncSession, project_id: UUID, some: Sequence[Read]) -> int:
    known = {row.id for row in await tx.execute(THERE, {"ids": [each.new.id for each in some]})}
    fresh = {each.new.id: each for each in some if each.new.id not in known}
    repository = MemoryRepository(tx, project_id)
    for user_id, profile in dict.fromkeys((each.user_id, each.profile) for each in fresh.values()):
        namespace = await _home(tx, project_id, user_id, profile)
        mine = [each.new for each in fresh.values() if (each.user_id, each.profile) == (user_id, profile)]
        await repository.add_all(namespace, mine, deduplicate=False)
    later = [{"id": str(each.new.id), **each.later} for each in fresh.values() if each.later]
    if later:
        await tx.execute(LATER, {"project_id": project_id, "later": json.dumps(later)})
    return len(fresh)


async def _home(tx: AsyncSession, project_id: UUID, user_id: str | None, profile: str | None) -> Namespace:
    if user_id is None:
        return Namespace(project_id)
    profiles = ProfileRepository(tx, project_id)
    default = await profiles.default_of(user_id)
    if profile is None:
        return Namespace(project_id, user_id, default.id)
    query = select(Profile).where(*profiles.mine(), Profile.user_id == user_id, Profile.name == profile)
    found = await tx.scalar(query) or await profiles.create(user_id, is_default=False, name=profile)
    return Namespace(project_id, user_id, found.id)
