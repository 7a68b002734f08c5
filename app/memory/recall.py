"""Recall: candidates by meaning and by words, joined with the ledger's rows, ranked, and shown with their reasons.

The ledger has the last word: an expired, deleted, archived or foreign memory cannot surface, whatever the index says.
"""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, select

from app.core.ports import Candidate, Purpose, SearchScope
from app.core.resources import Resources
from app.memory.filters import Filter, to_sql
from app.memory.ledger import MemoryRepository
from app.memory.models import Memory
from app.memory.namespace import Namespace
from app.memory.visible import visible

FEW = 2000
MOST_CANDIDATES = 20_000
"""A filter that leaves no more rows than this is asked first, so that none of them is missed."""


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
    vector = (await resources.embedder.embed([question.text], Purpose.QUERY))[0]
    found: list[Recalled] = []
    async for scope, limit in _attempts(resources, question, names):
        candidates = await resources.index.candidates(scope, vector, question.text, limit)
        found = _order(resources, question, candidates, await _rows(resources, question, candidates))
        if len(found) >= question.top_k or len(candidates) < limit:
            break
    return [each for each in found[: question.top_k] if each.score >= question.threshold]


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
        repository = MemoryRepository(tx, question.project_id, question.user_id)
        query = select(Memory.id).where(*repository.mine(), *_conditions(question)).limit(FEW + 1)
        if names is not None:
            query = query.where(Memory.namespace.in_(names))
        ids = tuple(await tx.scalars(query))
    return ids if len(ids) <= FEW else None


async def _rows(resources: Resources, question: Question, candidates: Sequence[Candidate]) -> dict[UUID, Memory]:
    if not candidates:
        return {}
    async with resources.database.transaction(question.project_id, question.user_id) as tx:
        repository = MemoryRepository(tx, question.project_id, question.user_id)
        rows = await repository.many([each.id for each in candidates], *_conditions(question))
    return {row.id: row for row in rows}


def _conditions(question: Question) -> list[ColumnElement[bool]]:
    conditions = visible(show_expired=question.show_expired)
    return [*conditions, to_sql(question.filter)] if question.filter else conditions


def _order(
    resources: Resources, question: Question, candidates: Sequence[Candidate], rows: dict[UUID, Memory]
) -> list[Recalled]:
    best = max((each.bm25 or 0 for each in candidates), default=0) or 1
    found = [
        Recalled(rows[each.id], max(0.0, 0.6 * (each.similarity or 0) + 0.4 * (each.bm25 or 0) / best))
        for each in candidates
        if each.id in rows
    ]
    return sorted(found, key=lambda each: each.score, reverse=True)
