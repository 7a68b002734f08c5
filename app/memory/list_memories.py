"""List: the memories that a filter leaves, newest first, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest
from app.core.resources import Resources
from app.identity.caller import Caller
from app.memory.filters import And, Filter, Latest
from app.memory.models import Memory
from app.memory.place import check_place, opened
from app.memory.read_filters import parse_filters
from app.memory.schemas import MOST_ON_A_PAGE, ListMemories, Sifted
from app.memory.scope import about, seek
from app.memory.shown import COLUMNS
from app.memory.visible import visible


@dataclass(frozen=True, slots=True)
class Part:
    """Which of the rows; a size of None means all of them."""

    page: int = 1
    size: int | None = 100


@dataclass(frozen=True, slots=True)
class Listed:
    count: int
    rows: Sequence[Row[Any]]


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
    async with opened(resources, caller) as tx:
        sought = await seek(tx, caller, found, asked.profile_id)
        if sought.namespaces == ():
            return Listed(0, [])
        where = [Memory.project_id == caller.project_id, *visible(show_expired=asked.show_expired), *sought.where()]
        return await _read(tx, where, part)


async def _read(tx: AsyncSession, where: Sequence[ColumnElement[bool]], part: Part) -> Listed:
    query = select(*COLUMNS).where(*where).order_by(Memory.created_at.desc(), Memory.id.desc())
    if part.size is None:
        rows = (await tx.execute(query)).all()
        return Listed(len(rows), rows)
    skipped = (part.page - 1) * part.size
    rows = (await tx.execute(query.limit(part.size).offset(skipped))).all()
    if (rows or not skipped) and len(rows) < part.size:
        return Listed(skipped + len(rows), rows)
    return Listed(await tx.scalar(select(func.count()).select_from(Memory).where(*where)) or 0, rows)
