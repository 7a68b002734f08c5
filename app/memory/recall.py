"""Recall: candidates by meaning and by words, joined with the ledger's rows, ranked, and shown with their reasons.

The ledger has the last word: an expired, deleted, archived or foreign memory cannot surface, whatever the index says.
"""

import datetime as dt
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
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
from sqlalchemy.orm.attributes import instance_dict

from app.core.ports import Candidate, Purpose, Role, SearchScope
from app.core.resources import Resources
from app.memory.context import query_text
from app.memory.features import Found
from app.memory.filters import Filter, to_sql
from app.memory.ledger import MemoryRepository
from app.memory.models import Memory
from app.memory.namespace import Namespace
from app.memory.new import Kind
from app.memory.ranking import RankingWeights, rank
from app.memory.visible import visible

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


@dataclass(frozen=True, slots=True)
class Recalled:
    memory: Memory
    score: float
    parts: dict[str, float] = field(default_factory=dict)


async def show(resources: Resources, namespace: Namespace, ids: Sequence[str]) -> list[Memory]:
    """Those of the ids that may still be seen, in the order asked for."""
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        repository = MemoryRepository(tx, namespace.project_id, namespace.user_id)
        rows = {str(row.id): row for row in await repository.many([UUID(each) for each in ids], *visible())}
    return [rows[each] for each in ids if each in rows]


async def recall(resources: Resources, question: Question) -> list[Recalled]:
    names = tuple(str(namespace) for namespace in question.namespaces) if question.namespaces is not None else None
    await resources.index_queue.settled(question.project_id, names)
    vector = (await resources.embedder.embed([query_text(question.text)], Purpose.QUERY))[0]
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
    values = {"ids": [each.id for each in candidates], "project_id": question.project_id, "user_id": question.user_id}
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
    wanted = func.unnest(bindparam("ids", type_=ARRAY(Uuid))).table_valued("id").render_derived("wanted")
    user_id = bindparam("user_id", type_=Text)
    mine = [Memory.project_id == bindparam("project_id"), or_(user_id.is_(None), Memory.user_id == user_id)]
    found = select(Memory).where(Memory.id == wanted.c.id, *mine, *visible(show_expired=show_expired))
    row = found.correlate(wanted).limit(literal_column("1")).lateral("row")
    unread = cast(row.c.metadata, Text).label("metadata_")
    columns = [unread if column.name == "metadata" else column for column in row.c]
    return select(*columns).select_from(wanted.join(row, true()))


LOOK_UP = {show_expired: _look_up(show_expired=show_expired) for show_expired in (False, True)}


def _best(
    resources: Resources, question: Question, candidates: Sequence[Candidate], rows: Mapping[UUID, Any]
) -> list[Recalled]:
    found = [_found(each, rows[each.id]) for each in candidates if each.id in rows]
    weights = RankingWeights(half_life_days=resources.values.recency_half_life_days)
    ranked = rank(question.text, found, question.at or dt.datetime.now(dt.UTC), weights, question.top_k)
    return [Recalled(_as_memory(rows[each.id]), each.score, each.parts) for each in ranked]


def _as_memory(row: Any) -> Memory:
    """As if loaded, but past SQLAlchemy's bookkeeping, which takes longer than everything else about ten rows."""
    memory = Memory()
    instance_dict(memory).update(row._asdict(), metadata_=json.loads(row.metadata_))
    return memory


def _found(candidate: Candidate, row: Any) -> Found:
    return Found(
        candidate.id,
        candidate.similarity,
        candidate.bm25,
        Kind(row.kind),
        Role(row.role),
        row.content,
        row.context,
        row.run_id,
        row.created_at,
        row.importance,
    )
