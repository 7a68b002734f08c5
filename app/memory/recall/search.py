"""Recall: candidates by meaning and by words, joined with the ledger's rows, ranked, and returned with their scores.

The ledger decides what a client may see: an expired, deleted, archived or foreign memory is never returned, whatever
the index holds.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Select,
    Text,
    Uuid,
    and_,
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
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.actor import acting_key
from app.core.observability.usage_counts import UsageOf
from app.core.ports import Candidate, Embedder, Purpose, SearchScope, Vector
from app.core.resources import Resources
from app.core.text.times.read_times import NamedTimes
from app.core.text.times.told_times import read_told_times
from app.memory.embedders import ranking_model
from app.memory.filters import Filter, filter_transaction, to_sql
from app.memory.indexing import cut_question, query_text
from app.memory.ledger import Memory, MemoryRepository, SearchRow, visible
from app.memory.namespace import Namespace
from app.memory.recall.features import RankingInput
from app.memory.recall.ranking import RankingWeights, rank, weights_of
from app.memory.recall.words_only import find_candidates, is_embedded, report_embedding, with_word_similarity

PREFILTER_LIMIT = 2000
"""A filter that leaves at most this many rows is applied before the search, so that the search misses none of them."""
MAX_CANDIDATES = 20_000
MAX_WAIT_SECONDS = 2.0
"""How long a search waits for the index. Then it answers with what is there."""


@dataclass(frozen=True, slots=True)
class Question:
    project_id: UUID
    text: str
    namespaces: tuple[Namespace, ...] | None
    """None searches the whole project: for memories that belong to an agent, an app or a run only. An empty
    tuple finds nothing."""
    top_k: int = 10
    threshold: float | None = 0.0
    """The minimum of score or relevance; 0 accepts all. None accepts what fits the question."""
    with_undecided: bool = False
    """Without a threshold, accept memories that leave open what the question asks: for a model, which can tell."""
    filter: Filter | None = None
    show_expired: bool = False
    show_superseded: bool = False
    as_of: dt.datetime | None = None
    """Find what was known and valid at this moment of the past. None means now."""
    at: dt.datetime | None = None
    """The moment that recency is measured from; None means now."""
    user_id: str | None = None
    in_conversation: bool = False
    """The caller has the latest messages at hand, so recall does not wait until they are indexed."""
    counts_access: bool = True
    """Whether a project with decay counts the returned memories as accessed."""


@dataclass(frozen=True, slots=True)
class Recalled:
    memory: SearchRow
    score: float
    parts: dict[str, float] = field(default_factory=dict)
    fits: bool = True
    """Whether it is returned when the client names no threshold."""
    relevance: float = 0.0
    """How well it matches, whatever else was found. Clients chose their thresholds on this scale."""
    undecided: bool = False
    """It would fit, and leaves open what the question asks."""


async def load_visible(resources: Resources, namespace: Namespace, ids: Sequence[str]) -> list[Memory]:
    """Those of the memories that a client may still see, in the order of the ids. Some may be superseded by now."""
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        repository = MemoryRepository(tx, namespace.project_id, namespace.user_id)
        rows = {
            str(row.id): row
            for row in await repository.find_all([UUID(each) for each in ids], *visible(show_superseded=True))
        }
    return [rows[each] for each in ids if each in rows]


@asynccontextmanager
async def embed_query(embedder: Embedder, project_id: UUID, question: str) -> AsyncIterator[Awaitable[Vector]]:
    """Embeds the question in a task, while the caller does other work."""
    task = asyncio.create_task(_embed(embedder, project_id, question))
    task.add_done_callback(report_embedding)
    try:
        yield task
    finally:
        task.cancel()


@asynccontextmanager
async def embed_question(
    embedder: Embedder, project_id: UUID, question: str, at: dt.datetime | None = None, *, in_conversation: bool = False
) -> AsyncIterator[Awaitable[Vector] | None]:
    """The same for `recall`. None if the question asks for a time alone, which is answered without a vector."""
    if read_told_times(question, at or dt.datetime.now(dt.UTC), in_conversation=in_conversation) is not None:
        yield None
        return
    async with embed_query(embedder, project_id, question) as vector:
        yield vector


async def _embed(embedder: Embedder, project_id: UUID, question: str) -> Vector:
    text = query_text(cut_question(question))
    return (await embedder.embed([text], Purpose.QUERY, tenant=project_id))[0]


async def recall(
    resources: Resources, question: Question, vector: Vector | Awaitable[Vector] | None = None
) -> list[Recalled]:
    """`vector` comes from `embed_question`, if the caller has started it already."""
    resources.usage.searches[UsageOf(question.project_id, acting_key())] += 1
    if question.namespaces == ():
        return []
    if vector is not None:
        return await _recall_by_meaning(resources, question, vector)
    told = read_told_times(question.text, _now(question), in_conversation=question.in_conversation)
    if told is not None:
        return await _list_told(resources, question, told)
    async with embed_query(resources.embedder, question.project_id, question.text) as embedding:
        return await _recall_by_meaning(resources, question, embedding)


async def _recall_by_meaning(
    resources: Resources, question: Question, vector: Vector | Awaitable[Vector]
) -> list[Recalled]:
    text = cut_question(question.text)
    names = tuple(str(namespace) for namespace in question.namespaces) if question.namespaces is not None else None
    include_chat = not question.in_conversation
    await resources.index_queue.wait_until_indexed(
        question.project_id, names, include_chat=include_chat, seconds=MAX_WAIT_SECONDS
    )
    best: list[Recalled] = []
    async for scope, limit in _search_steps(resources, question, names):
        candidates = await find_candidates(resources, scope, vector, text, limit)
        rows = await _load_rows(resources, question, candidates, prefiltered=scope.only is not None)
        by_words = not is_embedded(vector)
        best = _rank_rows(resources, replace(question, text=text), candidates, rows, by_words=by_words)
        if len(best) >= question.top_k or len(candidates) < limit:
            break
    return [each for each in best if _is_accepted(each, question)]


async def _list_told(resources: Resources, question: Question, told: NamedTimes) -> list[Recalled]:
    """Newest first. Only the time is asked for, so every memory of it fits."""
    newest = select(Memory.id).where(*_conditions(question), _is_told_in(told))
    if question.namespaces is not None:
        newest = newest.where(Memory.namespace.in_([str(each) for each in question.namespaces]))
    newest = newest.order_by(Memory.created_at.desc(), Memory.id.desc()).limit(question.top_k)
    async with _filter_transaction(resources, question) as tx:
        found = [Candidate(each, None, None) for each in await tx.scalars(newest)]
    rows = await _load_rows(resources, question, found, prefiltered=True)
    return [Recalled(rows[each.id], 1.0, relevance=1.0) for each in found if each.id in rows]


def _is_told_in(told: NamedTimes) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [func.extract("month", Memory.created_at).in_(told.months)]
    for period in told.periods:
        after = Memory.created_at >= period.start if period.start is not None else true()
        conditions.append(and_(after, Memory.created_at < period.end if period.end is not None else true()))
    return or_(*conditions)


def _now(question: Question) -> dt.datetime:
    return question.at or dt.datetime.now(dt.UTC)


def _is_accepted(recalled: Recalled, question: Question) -> bool:
    if question.threshold is None:
        return recalled.fits or (question.with_undecided and recalled.undecided)
    return max(recalled.score, recalled.relevance) >= question.threshold


async def _search_steps(
    resources: Resources, question: Question, names: tuple[str, ...] | None
) -> AsyncIterator[tuple[SearchScope, int]]:
    """One search among the rows of a narrow filter; for a wide one, searches for more and more candidates."""
    limit = max(resources.config.recall_candidates * _choose_weights(resources, question).candidates, question.top_k)
    only = await _prefilter_ids(resources, question, names) if question.filter or names is None else None
    if only is not None:
        yield SearchScope(question.project_id, names, only), max(limit, len(only))
        return
    while limit <= MAX_CANDIDATES:
        yield SearchScope(question.project_id, names), limit
        limit *= 4


async def _prefilter_ids(
    resources: Resources, question: Question, names: tuple[str, ...] | None
) -> tuple[UUID, ...] | None:
    """The rows that the filter leaves, or None if they are more than `PREFILTER_LIMIT`."""
    async with _filter_transaction(resources, question) as tx:
        query = select(Memory.id).where(*_conditions(question)).limit(PREFILTER_LIMIT + 1)
        if names is not None:
            query = query.where(Memory.namespace.in_(names))
        ids = tuple(await tx.scalars(query))
    return ids if len(ids) <= PREFILTER_LIMIT else None


def _filter_transaction(resources: Resources, question: Question) -> AbstractAsyncContextManager[AsyncSession]:
    return filter_transaction(resources.database, question.filter, question.project_id, question.user_id)


def _conditions(question: Question) -> list[ColumnElement[bool]]:
    as_of = None if question.as_of is None else literal(question.as_of, DateTime(timezone=True))
    shown = visible(show_expired=question.show_expired, show_superseded=question.show_superseded, as_of=as_of)
    conditions = [Memory.project_id == question.project_id, *shown]
    if question.user_id is not None:
        conditions.append(Memory.user_id == question.user_id)
    if question.filter:
        conditions.append(to_sql(question.filter))
    return conditions


async def _load_rows(
    resources: Resources, question: Question, candidates: Sequence[Candidate], *, prefiltered: bool
) -> dict[UUID, SearchRow]:
    """The candidates that match and are visible. They are read whole: a second query for the best would take longer."""
    if not candidates:
        return {}
    # As text: the driver would take as long to turn a list of UUIDs into an array as for the rest of the query.
    ids = f"{{{','.join([str(each.id) for each in candidates])}}}"
    values = {
        "ids": ids,
        "project_id": question.project_id,
        "user_id": question.user_id,
        "as_of": question.as_of,
    }
    select_rows = search_rows_statement(
        show_expired=question.show_expired,
        show_superseded=question.show_superseded,
        in_the_past=question.as_of is not None,
    )
    answer = await resources.database.pipeline(question.project_id, question.user_id, (select_rows, values))
    rows = {row.id: row for row in map(SearchRow._make, answer)}
    if question.filter is None or prefiltered:
        return rows
    async with _filter_transaction(resources, question) as tx:
        matching = select(Memory.id).where(_is_one_of(list(rows)), *_conditions(question))
        return {each: rows[each] for each in await tx.scalars(matching)}


def _is_one_of(ids: Sequence[UUID]) -> ColumnElement[bool]:
    """One array instead of one parameter for each id: the statement stays the same, so Postgres plans it once."""
    return Memory.id == any_(literal(ids, ARRAY(Uuid)))


@cache
def search_rows_statement(*, show_expired: bool, show_superseded: bool, in_the_past: bool) -> Select[Any]:
    """A lateral subquery for each id: with a join, Postgres read the whole project of a table not yet analyzed."""
    ids = cast(bindparam("ids", type_=Text), ARRAY(Uuid))
    wanted = func.unnest(ids).table_valued("id").render_derived("wanted")
    user_id = bindparam("user_id", type_=Text)
    own = [Memory.project_id == bindparam("project_id"), or_(user_id.is_(None), Memory.user_id == user_id)]
    as_of = bindparam("as_of", type_=DateTime(timezone=True)) if in_the_past else None
    shown = visible(show_expired=show_expired, show_superseded=show_superseded, as_of=as_of)
    memory = select(Memory).where(Memory.id == wanted.c.id, *own, *shown)
    row = memory.correlate(wanted).limit(literal_column("1")).lateral("row")
    # `metadata_json` stays text until it is read, since most candidates are not returned.
    columns = [
        cast(row.c.metadata, Text).label(name) if name == "metadata_json" else row.c[name] for name in SearchRow._fields
    ]
    return select(*columns).select_from(wanted.join(row, true()))


def _rank_rows(
    resources: Resources,
    question: Question,
    candidates: Sequence[Candidate],
    rows: Mapping[UUID, SearchRow],
    *,
    by_words: bool,
) -> list[Recalled]:
    inputs = [_ranking_input(each, rows[each.id]) for each in candidates if each.id in rows]
    if by_words:
        inputs = with_word_similarity(resources.index, question.text, inputs)
    weights = _choose_weights(resources, question)
    ranked = rank(question.text, inputs, _now(question), weights, question.top_k)
    return [
        Recalled(rows[each.id], each.score, each.parts, each.fits, each.relevance, each.undecided) for each in ranked
    ]


def _choose_weights(resources: Resources, question: Question) -> RankingWeights:
    model = ranking_model(resources.embedder, question.project_id)
    return weights_of(model, resources.config.recency_half_life_days)


def _ranking_input(candidate: Candidate, row: SearchRow) -> RankingInput:
    return RankingInput(
        candidate.id,
        candidate.similarity,
        candidate.bm25,
        row.kind,
        row.role,
        row.content,
        row.context,
        row.run_id,
        row.created_at,
        row.importance,
        row.profile_id,
        row.agent_id,
        row.app_id,
    )
