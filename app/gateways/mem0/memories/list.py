"""List: the memories that a filter leaves, newest first, page by page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic_core import to_json
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
)

from app.core.errors import BadRequest
from app.core.resources import Resources
from app.gateways.mem0.memories.addressing import about, seek
from app.gateways.mem0.memories.render import AS_JSON, pick
from app.gateways.mem0.memories.schemas import MOST_ON_A_PAGE, ListMemories, Sifted
from app.gateways.mem0.project_check import check_place
from app.gateways.mem0.responses import Answer
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.filters.parse import parse_filters
from app.memory.filters.tree import And, Filter, NotSuperseded
from app.memory.ledger.models import Memory, visible
from app.memory.namespace import Namespace

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
        more.append(NotSuperseded())
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
    values: dict[str, object] = {"size": part.size, "skipped": (part.page - 1) * part.size}
    if sought.filter is None and sought.namespaces is not None:
        return await _read_out(resources, caller, sought.namespaces, values, show_expired=asked.show_expired)
    query = page_of([*visible(show_expired=asked.show_expired), *sought.where()])
    async with caller_transaction(resources.database, caller) as tx:
        row = (await tx.execute(query, {"project_id": caller.project_id, **values})).one()
    return Listed(row.total, f"[{row.written or ''}]".encode())


async def _read_out(
    resources: Resources,
    caller: Caller,
    namespaces: Sequence[Namespace],
    values: Mapping[str, object],
    *,
    show_expired: bool,
) -> Listed:
    names = [str(each) for each in namespaces]
    whose = {"namespace": names[0]} if len(names) == 1 else {"namespaces": names}
    asked = (PLAIN[len(names) == 1, show_expired], {**values, "project_id": caller.project_id, **whose})
    ((many, written),) = await resources.database.read_out(caller.project_id, caller.user_id, asked)
    return Listed(int(many or 0), b"[%s]" % (written or b""))


def page_of(where: Sequence[ColumnElement[bool]]) -> Select[int, str]:
    """How many there are in all, and one page of them, written by Postgres."""
    conditions = [Memory.project_id == bindparam("project_id"), *where]
    size, skipped = bindparam("size", type_=Integer), bindparam("skipped", type_=BigInteger)
    newest = select(Memory.__table__).where(*conditions).order_by(Memory.created_at.desc(), Memory.id.desc())
    page = newest.limit(size).offset(skipped).subquery("page")
    part = select(func.count().label("many"), WRITTEN.label("written")).select_from(page).subquery("part")
    every = select(func.count()).select_from(Memory).where(*conditions).scalar_subquery()
    # A page that is not full is the last, and counting everything is only needed before it, or beyond it.
    last = and_(part.c.many < size, or_(part.c.many > 0, skipped == 0))
    return select(case((last, skipped + part.c.many), else_=every).label("total"), part.c.written)


WHOSE = {
    True: Memory.namespace == bindparam("namespace", type_=Text),
    False: Memory.namespace == any_(bindparam("namespaces", type_=ARRAY(Text))),
}
"""Of one namespace Postgres reads the newest from an index; of several it reads and sorts them all."""
PLAIN = {
    (one, expired): page_of([WHOSE[one], *visible(show_expired=expired)])
    for one in (False, True)
    for expired in (False, True)
}
"""The commonest list has no condition but whose it is: put into words once."""


def chosen(listed: Listed, fields: Sequence[str] | None) -> bytes:
    return to_json([pick(each, fields) for each in listed.shown()]) if fields else listed.written
