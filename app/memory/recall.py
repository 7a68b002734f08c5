"""Recall: candidates by meaning and by words, joined with the ledger's rows, ranked, and shown with their reasons.

The ledger has the last word: an expired, deleted, archived or foreign memory cannot surface, whatever the index says.
"""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Row, Uuid, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ports import Candidate, Purpose, Role, SearchScope
from app.core.resources import Resources
from app.memory.context import query_text
from app.memory.features import Found
from app.memory.filters import Filter, to_sql
from app.memory.ledger import MemoryRepository
from app.memory.models import Memory
from app.memory.namespace import Namespace
from app.memory.new import Kind
from app.memory.ranking import Ranked, RankingWeights, rank
from app.memory.visible import visible

FEW = 2000
MOST_CANDIDATES = 20_000
"""A filter that leaves no more rows than this is asked first, so that none of them is missed."""


LOOKED_AT = select(
    Memory.id,
    Memory.kind,
    Memory.role,
    Memory.content,
    Memory.context,
    Memory.run_id,
    Memory.created_at,
    Memory.importance,
)


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
        async with resources.database.transaction(question.project_id, question.user_id) as tx:
            ranked = await _rank(tx, resources, question, candidates)
            best = await _load(tx, question, [each for each in ranked if each.score >= question.threshold])
        if len(ranked) >= question.top_k or len(candidates) < limit:
            break
    return best


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


def _among(ids: Sequence[UUID]) -> ColumnElement[bool]:
    """One array, not one parameter for each: the statement stays the same, so Postgres plans it once."""
    return Memory.id == any_(literal(list(ids), ARRAY(Uuid)))


async def _rank(
    tx: AsyncSession, resources: Resources, question: Question, candidates: Sequence[Candidate]
) -> list[Ranked]:
    """Only the columns that ranking looks at: there may be hundreds of candidates, and ten of them are shown."""
    if not candidates:
        return []
    rows = await tx.execute(LOOKED_AT.where(_among([each.id for each in candidates]), *_allowed(question)))
    known = {row.id: row for row in rows}
    found = [_found(each, known[each.id]) for each in candidates if each.id in known]
    weights = RankingWeights(half_life_days=resources.values.recency_half_life_days)
    return rank(question.text, found, question.at or dt.datetime.now(dt.UTC), weights, question.top_k)


def _found(candidate: Candidate, row: "Row[*tuple[Any, ...]]") -> Found:
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


async def _load(tx: AsyncSession, question: Question, ranked: Sequence[Ranked]) -> list[Recalled]:
    if not ranked:
        return []
    query = select(Memory).where(_among([each.id for each in ranked]), Memory.project_id == question.project_id)
    rows = {row.id: row for row in await tx.scalars(query)}
    return [Recalled(rows[each.id], each.score, each.parts) for each in ranked if each.id in rows]
