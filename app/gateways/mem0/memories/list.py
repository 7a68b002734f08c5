"""List the memories that match a filter, newest first, in numbered pages."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pydantic_core import to_json
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from app.core.errors import BadRequest
from app.core.resources import Resources
from app.gateways.mem0.memories.addressing import ResolvedScope, resolve_scope, restrict_to_caller
from app.gateways.mem0.memories.render import MEMORY_JSON_SQL, open_sealed, pick_fields
from app.gateways.mem0.memories.schemas import MAX_PAGE_SIZE, FilteredRequest, ListMemories
from app.gateways.mem0.project_check import check_project_matches
from app.gateways.mem0.responses import JsonObject
from app.identity.caller import Caller
from app.memory.filters import And, Filter, filter_transaction, parse_filters
from app.memory.ledger import Kind, Memory, visible
from app.memory.namespace import Namespace
from app.memory.origin import ENTITY_FIELDS
from app.projects.models import Project

MAX_PAGE = 10_000_000


@dataclass(frozen=True, slots=True)
class PageRequest:
    page: int = 1
    size: int = 100
    is_complete: bool = False
    """Whether episodes are included where the project leaves them out of its lists."""

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.size


@dataclass(frozen=True, slots=True)
class Shown:
    """What a list contains besides current memories."""

    expired: bool = False
    archived: bool = False
    superseded: bool = False
    in_the_past: bool = False
    """The list is as of the parameter `as_of` of its statement."""
    every_kind: bool = False
    """Otherwise the project decides whether episodes are listed."""

    def conditions(self) -> list[ColumnElement[bool]]:
        as_of = bindparam("as_of", type_=DateTime(timezone=True)) if self.in_the_past else None
        shown = visible(
            show_expired=self.expired, show_archived=self.archived, show_superseded=self.superseded, as_of=as_of
        )
        return shown if self.every_kind else [*shown, _is_listed()]


def _is_listed() -> ColumnElement[bool]:
    """Postgres reads the setting once for each statement, so that a list needs no further round trip."""
    without_episodes = exists().where(
        Project.id == bindparam("project_id"), Project.settings["list_episodes"].astext == "false"
    )
    return or_(Memory.kind != Kind.EPISODE, ~without_episodes)


@dataclass(frozen=True, slots=True)
class MemoryList:
    count: int
    """The number of matches on all pages."""
    json: bytes = b"[]"
    """The memories of this page."""

    def memories(self) -> list[JsonObject]:
        memories: list[JsonObject] = json.loads(self.json)
        return memories


def choose_page(request: ListMemories, page: int | None, size: int | None) -> PageRequest:
    """The query string takes precedence over the body."""
    number = page if page is not None else request.page if request.page is not None else 1
    length = size if size is not None else request.page_size if request.page_size is not None else 100
    if number < 1 or not 1 <= length <= MAX_PAGE_SIZE:
        raise BadRequest(f"`page` starts at 1, and `page_size` is between 1 and {MAX_PAGE_SIZE}")
    if number > MAX_PAGE:
        raise BadRequest(f"`page` is at most {MAX_PAGE}")
    return PageRequest(number, length)


def request_filter(request: FilteredRequest) -> Filter:
    """All conditions of a request, including those outside `filters`."""
    conditions = [parse_filters(request.filters)]
    if request.metadata:
        conditions.append(parse_filters({"metadata": request.metadata}))
    if request.categories:
        conditions.append(parse_filters({"categories": request.categories}))
    bounds = {"gte": request.start_date, "lte": request.end_date}
    if days := {operator: day for operator, day in bounds.items() if day}:
        conditions.append(parse_filters({"created_at": days}))
    return join_conditions(conditions)


def list_filter(request: ListMemories) -> Filter:
    conditions = [request_filter(request)]
    if request.standing is not None:
        conditions.append(parse_filters({"standing": request.standing}))
    if request.keywords:
        conditions.append(parse_filters({"keywords": request.keywords}))
    return join_conditions(conditions)


def join_conditions(conditions: Sequence[Filter]) -> Filter:
    return And(tuple(conditions)) if len(conditions) > 1 else conditions[0]


def filtered_fields(filters: object) -> set[str]:
    """The names of all fields in the filters as a client sent them."""
    if isinstance(filters, Mapping):
        return set(filters).union(*map(filtered_fields, filters.values()))
    return set[str]().union(*map(filtered_fields, filters)) if isinstance(filters, list) else set()


def refuse_ids_outside_filters(request: FilteredRequest) -> None:
    for field in ENTITY_FIELDS:
        if getattr(request, field) is not None:
            raise BadRequest(f'{field} is not accepted at the top level. Send filters={{"{field}": "…"}}')


async def list_memories(resources: Resources, caller: Caller, request: ListMemories, page: PageRequest) -> MemoryList:
    check_project_matches(caller, request)
    refuse_ids_outside_filters(request)
    scope = await resolve_scope(
        resources.database, caller, restrict_to_caller(caller, list_filter(request)), request.profile_id
    )
    if scope.namespaces == ():
        return MemoryList(0)
    as_of = past_moment(request.as_of)
    shown = Shown(
        expired=request.show_expired,
        archived=request.show_archived,
        superseded=request.shows_superseded,
        in_the_past=as_of is not None,
        every_kind=page.is_complete or "kind" in filtered_fields(request.filters),
    )
    values = {"project_id": caller.project_id, "size": page.size, "skipped": page.offset, "as_of": as_of}
    if scope.namespaces is not None and scope.filter is None:
        return await _list_namespaces(resources, caller, scope.namespaces, shown, values)
    return await _list_filtered(resources, caller, scope, shown, values)


def past_moment(moment: dt.datetime | None) -> dt.datetime | None:
    """None for a moment that has not come: what will be true then is not known."""
    return moment if moment is not None and moment < dt.datetime.now(dt.UTC) else None


async def _list_filtered(
    resources: Resources, caller: Caller, scope: ResolvedScope, shown: Shown, values: Mapping[str, object]
) -> MemoryList:
    statement = page_statement([*shown.conditions(), *scope.where()])
    ids = (caller.project_id, caller.user_id, caller.account_id)
    async with filter_transaction(resources.database, scope.filter, *ids) as tx:
        row = (await tx.execute(statement, values)).one()
    return MemoryList(row.total, b"[%s]" % await _opened(resources, caller, (row.memories or "").encode()))


async def _list_namespaces(
    resources: Resources,
    caller: Caller,
    namespaces: Sequence[Namespace],
    shown: Shown,
    values: Mapping[str, object],
) -> MemoryList:
    """All memories of the namespaces: the most common list, and a single round trip."""
    names = [str(namespace) for namespace in namespaces]
    statement = namespaces_statement(shown, single=len(names) == 1)
    selected = {"namespace": names[0]} if len(names) == 1 else {"namespaces": names}
    ((total, memories),) = await resources.database.fetch_text(
        caller.project_id, caller.user_id, (statement, {**values, **selected})
    )
    return MemoryList(int(total or 0), b"[%s]" % await _opened(resources, caller, memories or b""))


async def _opened(resources: Resources, caller: Caller, memories: bytes) -> bytes:
    cipher = await resources.database.cipher_of(caller.project_id)
    return open_sealed(cipher, memories) if cipher else memories


@cache
def namespaces_statement(shown: Shown, *, single: bool) -> Select[int, str]:
    """In a single namespace Postgres reads the newest memories from an index; in several it has to sort them."""
    if single:
        namespace = Memory.namespace == bindparam("namespace", type_=Text)
    else:
        namespace = Memory.namespace == any_(bindparam("namespaces", type_=ARRAY(Text)))
    return page_statement([namespace, *shown.conditions()])


def page_statement(where: Sequence[ColumnElement[bool]]) -> Select[int, str]:
    """The total number of matches, and one page of them as the text between the brackets of a JSON array."""
    conditions = [Memory.project_id == bindparam("project_id"), *where]
    size, skipped = bindparam("size", type_=Integer), bindparam("skipped", type_=BigInteger)
    newest_first = select(Memory.__table__).where(*conditions).order_by(Memory.created_at.desc(), Memory.id.desc())
    rows = newest_first.limit(size).offset(skipped).subquery("page")
    memories = func.string_agg(literal_column(MEMORY_JSON_SQL), ",").label("memories")
    page = select(func.count().label("length"), memories).select_from(rows).subquery("part")
    # A page that is not full is the last one, so its end is the total. Only other pages need a count.
    is_last = and_(page.c.length < size, or_(page.c.length > 0, skipped == 0))
    count = select(func.count()).select_from(Memory).where(*conditions).scalar_subquery()
    return select(case((is_last, skipped + page.c.length), else_=count).label("total"), page.c.memories)


def select_fields(listed: MemoryList, fields: Sequence[str] | None) -> bytes:
    return to_json([pick_fields(memory, fields) for memory in listed.memories()]) if fields else listed.json
