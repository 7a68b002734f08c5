"""Recall: candidates by meaning and by words, joined with the ledger's rows, ranked, and shown with their reasons.

The ledger has the last word: an expired, deleted, archived or foreign memory cannot surface, whatever the index says.
"""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)

from app.core.ports import Candidate, Embedder, Purpose, SearchScope, Vector
from app.core.resources import Resources
from app.memory.filters.tree import Filter, to_sql
from app.memory.indexing.indexed_text import query_text
from app.memory.ledger.models import Memory, visible
from app.memory.ledger.repository import MemoryRepository
from app.memory.namespace import Namespace
from app.memory.recall.features import Found
from app.memory.recall.ranking import RankingWeights, rank

FEW = 2000
"""A filter that leaves no more rows than this is asked first, so that none of them is missed."""
MOST_CANDIDATES = 20_000


@dataclass(frozen=True, slots=True)
class Question:
    project_id: UUID
    text: str
    namespaces: tuple[Namespace, ...] | None
    """None looks in the whole project, for what is pinned to an agent, an app or a run only."""
    top_k: int = 10
    threshold: float = 0.0
    filter: Filter | None = None
    show_expired: bool = False
    at: dt.datetime | None = None
    """The moment the question is about, for recency; now if left out."""
    user_id: str | None = None
    in_conversation: bool = False
    """What was said just now is at hand there already, and is not waited for."""


class SearchRow(NamedTuple):
    """What a search reads of a memory: enough to rank it, and to show it."""

    id: UUID
    project_id: UUID
    user_id: str | None
    profile_id: UUID | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    kind: str
    role: str
    content: str
    context: str | None
    metadata_: Any
    categories: list[str] | None
    importance: float | None
    immutable: bool
    expires_on: dt.date | None
    archived_at: dt.datetime | None
    replaced_by: UUID | None
    accessed_at: list[dt.datetime]
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Recalled:
    memory: SearchRow
    score: float
    parts: dict[str, float] = field(default_factory=dict)


async def show(resources: Resources, namespace: Namespace, ids: Sequence[str]) -> list[Memory]:
    """Those of the ids that may still be seen, in the order asked for."""
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        repository = MemoryRepository(tx, namespace.project_id, namespace.user_id)
        rows = {str(row.id): row for row in await repository.many([UUID(each) for each in ids], *visible())}
    return [rows[each] for each in ids if each in rows]


@asynccontextmanager
async def reading(embedder: Embedder, question: str) -> AsyncIterator[Awaitable[Vector]]:
    """The question's vector, made while other things are looked up."""
    task = asyncio.create_task(_embed(embedder, question))
    task.add_done_callback(_look_at)
    try:
        yield task
    finally:
        task.cancel()


async def _embed(embedder: Embedder, question: str) -> Vector:
    return (await embedder.embed([query_text(question)], Purpose.QUERY))[0]


def _look_at(task: asyncio.Task[Vector]) -> None:
    """Whoever left before it was there does not want to hear that it failed."""
    if not task.cancelled():
        task.exception()


async def recall(
    resources: Resources, question: Question, vector: Vector | Awaitable[Vector] | None = None
) -> list[Recalled]:
    """`vector` is that of the question, from `reading`, where it was begun before."""
    if vector is None:
        async with reading(resources.embedder, question.text) as begun:
            return await recall(resources, question, begun)
    names = tuple(str(namespace) for namespace in question.namespaces) if question.namespaces is not None else None
    await resources.index_queue.settled(question.project_id, names, said=not question.in_conversation)
    best: list[Recalled] = []
    async for scope, limit in _attempts(resources, question, names):
        candidates = await resources.index.candidates(scope, vector, question.text, limit)
        rows = await _rows_of(resources, question, candidates, filtered=scope.only is not None)
        best = _best(resources, question, candidates, rows)
        if len(best) >= question.top_k or len(candidates) < limit:
            break
    return [each for each in best if each.score >= question.threshold]


async def _attempts(
    resources: Resources, question: Question, names: tuple[str, ...] | None
) -> AsyncIterator[tuple[SearchScope, int]]:
    """A narrow filter is asked first and searched within; a wide one is applied to ever more candidates."""
    limit = max(resources.values.recall_candidates, question.top_k)
    only = await _chosen(resources, question, names) if question.filter or names is None else None
    if only is not None:
        yield SearchScope(question.project_id, names, only), max(limit, len(only))
        return
    while limit <= MOST_CANDIDATES:
        yield SearchScope(question.project_id, names), limit
        limit *= 4


async def _chosen(resources: Resources, question: Question, names: tuple[str, ...] | None) -> tuple[UUID, ...] | None:
    """The rows a filter leaves, when they are few enough to name."""
    async with resources.database.transaction(question.project_id, question.user_id) as tx:
        query = select(Memory.id).where(*_allowed(question)).limit(FEW + 1)
        if names is not None:
            query = query.where(Memory.namespace.in_(names))
        ids = tuple(await tx.scalars(query))
    return ids if len(ids) <= FEW else None


def _allowed(question: Question) -> list[ColumnElement[bool]]:
    mine = [Memory.project_id == question.project_id]
    if question.user_id is not None:
        mine.append(Memory.user_id == question.user_id)
    conditions = [*mine, *visible(show_expired=question.show_expired)]
    return [*conditions, to_sql(question.filter)] if question.filter else conditions


async def _rows_of(
    resources: Resources, question: Question, candidates: Sequence[Candidate], *, filtered: bool
) -> dict[UUID, Any]:
    """The candidates that may be seen, whole, since asking again for the best takes longer than carrying the rest."""
    if not candidates:
        return {}
    # As text: turning a list of UUIDs into an array costs the driver as much as everything else here together.
    ids = f"{{{','.join([str(each.id) for each in candidates])}}}"
    values = {"ids": ids, "project_id": question.project_id, "user_id": question.user_id}
    looked_up = (LOOK_UP[question.show_expired], values)
    rows = {row.id: row for row in await resources.database.at_once(question.project_id, question.user_id, looked_up)}
    if question.filter is None or filtered:
        return rows
    async with resources.database.transaction(question.project_id, question.user_id) as tx:
        matching = select(Memory.id).where(_among(list(rows)), *_allowed(question))
        return {each: rows[each] for each in await tx.scalars(matching)}


def _among(ids: Sequence[UUID]) -> ColumnElement[bool]:
    """One array, not one parameter for each: the statement stays the same, so Postgres plans it once."""
    return Memory.id == any_(literal(ids, ARRAY(Uuid)))


def _look_up(*, show_expired: bool) -> Select[Any]:
    """Row by row: as a join, Postgres read the whole project where it had not counted the table yet."""
    ids = cast(bindparam("ids", type_=Text), ARRAY(Uuid))
    wanted = func.unnest(ids).table_valued("id").render_derived("wanted")
    user_id = bindparam("user_id", type_=Text)
    mine = [Memory.project_id == bindparam("project_id"), or_(user_id.is_(None), Memory.user_id == user_id)]
    found = select(Memory).where(Memory.id == wanted.c.id, *mine, *visible(show_expired=show_expired))
    row = found.correlate(wanted).limit(literal_column("1")).lateral("row")
    columns = [row.c[name] for name in SearchRow._fields if name != "metadata_"]
    # Read only for what is shown.
    columns.insert(SearchRow._fields.index("metadata_"), cast(row.c.metadata, Text).label("metadata_"))
    return select(*columns).select_from(wanted.join(row, true()))


LOOK_UP = {show_expired: _look_up(show_expired=show_expired) for show_expired in (False, True)}


def _best(
    resources: Resources, question: Question, candidates: Sequence[Candidate], rows: Mapping[UUID, SearchRow]
) -> list[Recalled]:
    found = [_found(each, rows[each.id]) for each in candidates if each.id in rows]
    weights = RankingWeights(half_life_days=resources.values.recency_half_life_days)
    ranked = rank(question.text, found, question.at or dt.datetime.now(dt.UTC), weights, question.top_k)
    return [Recalled(_whole(rows[each.id]), each.score, each.parts) for each in ranked]


def _whole(row: SearchRow) -> SearchRow:
    return SearchRow(*row)._replace(metadata_=json.loads(row.metadata_))


def _found(candidate: Candidate, row: SearchRow) -> Found:
    return Found(*candidate, row.kind, row.role, row.content, row.context, row.run_id, row.created_at, row.importance)
