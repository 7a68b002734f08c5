"""List: the memories that a filter leaves, newest first, page by page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_core import to_json
from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest
from app.core.resources import Resources
from app.identity.caller import Caller
from app.memory.answer import Answer
from app.memory.filters import And, Filter, Latest
from app.memory.models import Memory
from app.memory.place import check_place, opened
from app.memory.read_filters import parse_filters
from app.memory.schemas import MOST_ON_A_PAGE, ListMemories, Sifted
from app.memory.scope import about, seek
from app.memory.shown import AS_JSON, pick
from app.memory.visible import visible

WRITTEN: ColumnElement[str] = func.string_agg(literal_column(AS_JSON), ",")


@dataclass(frozen=True, slots=True)
class Part:
    page: int = 1
    size: int = 100


@dataclass(frozen=True, slots=True)
class Listed:
    count: int
    """Of all pages."""
    written: bytes = b"[]"
    """The memories of this page, as JSON."""

    def shown(self) -> list[Answer]:
        memories: list[Answer] = json.loads(self.written)
        return memories


def choose_part(asked: ListMemories, page: int | None, size: int | None) -> Part:
    """What the query string says wins over the body."""
    chosen = page if page is not None else asked.page if asked.page is not None else 1
    many = size if size is not None else asked.page_size if asked.page_size is not None else 100
    if chosen < 1 or not 1 <= many <= MOST_ON_A_PAGE:
        raise BadRequest(f"Pages are counted from 1, and page_size goes from 1 to {MOST_ON_A_PAGE}")
    if chosen > 10_000_000:
        raise BadRequest("There is no such page")
    return Part(chosen, many)


def sift(asked: Sifted) -> Filter:
    """Every condition of the request, wherever in it they stand."""
    given = parse_filters(asked.filters)
    more: list[Filter] = []
    if asked.metadata:
        more.append(parse_filters({"metadata": asked.metadata}))
    if asked.categories:
        more.append(parse_filters({"categories": asked.categories}))
    if asked.latest_only:
        more.append(Latest())
    return And((given, *more)) if more else given


def sift_list(asked: ListMemories) -> Filter:
    raw = {"gte": asked.start_date or None, "lte": asked.end_date or None}
    days = {operator: day for operator, day in raw.items() if day is not None}
    more = [parse_filters({"created_at": days})] if days else []
    if asked.keywords:
        more.append(parse_filters({"keywords": asked.keywords}))
    return And((sift(asked), *more)) if more else sift(asked)


def no_ids_on_top(asked: Sifted) -> None:
    for field in ("user_id", "agent_id", "app_id", "run_id"):
        if getattr(asked, field) is not None:
            raise BadRequest(f'{field} does not belong on top here: send filters={{"{field}": "…"}}')


async def list_memories(resources: Resources, caller: Caller, asked: ListMemories, part: Part) -> Listed:
    check_place(caller, asked)
    no_ids_on_top(asked)
    found = about(caller, sift_list(asked))
    sought = await seek(resources.database, caller, found, asked.profile_id)
    if sought.namespaces == ():
        return Listed(0)
    async with opened(resources, caller) as tx:
        where = [Memory.project_id == caller.project_id, *visible(show_expired=asked.show_expired), *sought.where()]
        return await _read(tx, where, part)


async def _read(tx: AsyncSession, where: Sequence[ColumnElement[bool]], part: Part) -> Listed:
    skipped = (part.page - 1) * part.size
    newest = select(Memory.__table__).where(*where).order_by(Memory.created_at.desc(), Memory.id.desc())
    page = newest.limit(part.size).offset(skipped).subquery("page")
    query = select(func.count().label("many"), WRITTEN.label("written")).select_from(page)
    row = (await tx.execute(query)).one()
    listed = f"[{row.written or ''}]".encode()
    if (row.many or not skipped) and row.many < part.size:
        return Listed(skipped + row.many, listed)
    return Listed(await tx.scalar(select(func.count()).select_from(Memory).where(*where)) or 0, listed)


def chosen(listed: Listed, fields: Sequence[str] | None) -> bytes:
    return to_json([pick(each, fields) for each in listed.shown()]) if fields else listed.written
