"""Search messages by meaning and by words. Messages that are not embedded yet are found by their words.

The ledger decides what is returned: candidates of the index that are deleted, archived or another tenant's are dropped.
"""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import ARRAY, Uuid, any_, literal, select, text

from app.core.errors import AppError
from app.core.ports import Candidate, SearchScope, Vector
from app.core.resources import Resources
from app.memory.edit import Owner
from app.memory.filters import filter_transaction
from app.memory.importance import importance_of, recency_of
from app.memory.indexing import cut_question
from app.memory.ledger import Memory
from app.memory.messages.message import StoredMessage
from app.memory.messages.ranking import ScoreParts, ScoreWeights, combine_similarity
from app.memory.messages.repository import MessageFilter, of_tenant
from app.memory.namespace import MessageNamespace
from app.memory.recall import embed_query

log = structlog.get_logger()
MAX_INDEX_SECONDS = 1.0
"""How long a search waits for messages on their way into the index. Then it finds them by their words."""
MAX_EMBEDDING_SECONDS = 2.0
"""How long a search waits for the meaning of its query. Then it searches by words alone."""
PREFILTER_LIMIT = 2000
MAX_CANDIDATES = 20_000
MAX_PENDING = 500
"""So many of the newest messages that are not embedded yet are read."""
SELECT_FOUND_SQL = text(f"""
with given as (select unnest(cast(cast(:ids as text) as uuid[])) as id), found as (
  select m.* from given cross join lateral (
    select * from memories where id = given.id and project_id = :project_id limit 1) m
  union all
  select * from (select * from memories where project_id = :project_id and namespace = :namespace and state = 'pending'
    order by created_at desc limit {MAX_PENDING}) pending
)
select id, user_id, tenant_id, conversation_id, role, content, cast(metadata as text) as metadata_json, importance,
  state, created_at
from found
where namespace = :namespace and kind = 'message' and tenant_id is not distinct from cast(:tenant_id as text)
  and archived_at is null and (cast(:user_id as text) is null or user_id = :user_id)
""")  # noqa: S608  # only our own limit is put in


class FoundRow(NamedTuple):
    """`metadata_json` stays text, since most candidates are not returned."""

    id: UUID
    user_id: str | None
    tenant_id: str | None
    conversation_id: str
    role: str
    content: str
    metadata_json: str
    importance: float | None
    state: str
    created_at: dt.datetime

    def as_message(self) -> StoredMessage:
        values = self._asdict()
        return StoredMessage(metadata=json.loads(values.pop("metadata_json")), **values)


@dataclass(frozen=True, slots=True)
class MessageSearch:
    text: str
    tenant_id: str | None = None
    top_k: int = 10
    wanted: MessageFilter = field(default_factory=MessageFilter)
    weights: ScoreWeights = field(default_factory=ScoreWeights)
    as_of: dt.datetime | None = None
    """Find no message that was sent later, and measure recency from then. None means now."""


@dataclass(frozen=True, slots=True)
class FoundMessage:
    message: StoredMessage
    score: float
    parts: ScoreParts


@dataclass(frozen=True, slots=True)
class FoundMessages:
    results: list[FoundMessage]
    by_meaning: bool
    """False if the query could not be embedded, so that only words were compared."""


async def search_messages(resources: Resources, owner: Owner, search: MessageSearch) -> FoundMessages:
    """`owner` limits what is found to one user, if the caller is limited to one."""
    async with embed_query(resources.embedder, owner.project_id, search.text) as embedding:
        return await MessageSearcher(resources, owner, search).find(embedding)


class MessageSearcher:
    def __init__(self, resources: Resources, owner: Owner, search: MessageSearch) -> None:
        self._resources = resources
        self._owner = owner
        self._search = search
        self._namespace = MessageNamespace(owner.project_id, tenant_id=search.tenant_id)
        self._question = cut_question(search.text)
        now = dt.datetime.now(dt.UTC)
        self._now = min(search.as_of or now, now)
        self._half_life = resources.config.recency_half_life_days
        self._conditions = search.wanted.where(self._now, self._half_life)
        if search.as_of is not None:
            self._conditions.append(Memory.created_at <= search.as_of)

    async def find(self, embedding: Awaitable[Vector]) -> FoundMessages:
        await self._resources.index_queue.wait_until_indexed(
            self._owner.project_id, [str(self._namespace)], seconds=MAX_INDEX_SECONDS
        )
        vector = await self._wait_for(embedding)
        best: list[FoundMessage] = []
        async for scope, limit in self._steps():
            candidates = await self._find_candidates(scope, vector, limit)
            rows = await self._load_rows(candidates, scope.only)
            best = self._rank(candidates, rows)
            if len(best) >= self._search.top_k or len(candidates) < limit:
                break
        return FoundMessages(best, by_meaning=vector is not None)

    async def _wait_for(self, embedding: Awaitable[Vector]) -> Vector | None:
        try:
            async with asyncio.timeout(MAX_EMBEDDING_SECONDS):
                return await embedding
        except (AppError, OSError, TimeoutError) as error:
            log.warning("messages.searched_by_words", exc_info=error)
            return None

    async def _steps(self) -> AsyncIterator[tuple[SearchScope, int]]:
        """One search among the rows of a narrow filter; for a wide one, searches for more and more candidates."""
        project_id, names = self._owner.project_id, (str(self._namespace),)
        limit = max(self._resources.config.recall_candidates, self._search.top_k)
        only = await self._prefilter() if self._conditions else None
        if only is not None:
            yield SearchScope(project_id, names, only), max(limit, len(only))
            return
        while limit <= MAX_CANDIDATES:
            yield SearchScope(project_id, names), limit
            limit *= 4

    async def _prefilter(self) -> tuple[UUID, ...] | None:
        """The messages that match the filter, or None if they are more than `PREFILTER_LIMIT`."""
        wanted = self._search.wanted
        query = select(Memory.id).where(*of_tenant(self._namespace), *self._conditions).limit(PREFILTER_LIMIT + 1)
        owner = self._owner
        async with filter_transaction(self._resources.database, wanted.metadata, owner.project_id, owner.user_id) as tx:
            ids = tuple(await tx.scalars(query))
        return ids if len(ids) <= PREFILTER_LIMIT else None

    async def _find_candidates(self, scope: SearchScope, vector: Vector | None, limit: int) -> list[Candidate]:
        index = self._resources.index
        if vector is None:
            return await index.find_by_words(scope, self._question, limit)
        return await index.find_candidates(scope, vector, self._question, limit)

    async def _load_rows(self, candidates: Sequence[Candidate], only: tuple[UUID, ...] | None) -> dict[UUID, FoundRow]:
        """The candidates, and the messages that the index does not have yet, as far as they match."""
        owner = self._owner
        values = {
            "ids": f"{{{','.join(str(each.id) for each in candidates)}}}",
            "project_id": owner.project_id,
            "namespace": str(self._namespace),
            "tenant_id": self._search.tenant_id,
            "user_id": owner.user_id,
        }
        answer = await self._resources.database.pipeline(owner.project_id, owner.user_id, (SELECT_FOUND_SQL, values))
        rows = {row.id: row for row in map(FoundRow._make, answer)}
        if only is not None:
            return {each: rows[each] for each in set(only) & rows.keys()}
        return await self._filter(rows) if self._conditions else rows

    async def _filter(self, rows: Mapping[UUID, FoundRow]) -> dict[UUID, FoundRow]:
        owner, wanted = self._owner, self._search.wanted
        matching = select(Memory.id).where(Memory.id == any_(literal(list(rows), ARRAY(Uuid))), *self._conditions)
        async with filter_transaction(self._resources.database, wanted.metadata, owner.project_id, owner.user_id) as tx:
            return {each: rows[each] for each in await tx.scalars(matching)}

    def _rank(self, candidates: Sequence[Candidate], rows: Mapping[UUID, FoundRow]) -> list[FoundMessage]:
        """A message that the index does not have yet is found if it contains a word of the query."""
        ids = list(rows)
        shares = self._resources.index.share_of_words(self._question, [rows[each].content for each in ids])
        known = {each.id: each for each in candidates}
        found = [
            (rows[each], self._score(rows[each], known.get(each), share))
            for each, share in zip(ids, shares, strict=True)
            if each in known or share > 0
        ]
        weights = self._search.weights.normalized()
        best = sorted(found, key=lambda each: (-each[1].score(weights), each[0].id))[: self._search.top_k]
        return [FoundMessage(row.as_message(), parts.score(weights), parts) for row, parts in best]

    def _score(self, row: FoundRow, candidate: Candidate | None, share: float) -> ScoreParts:
        recency = recency_of(row.created_at, self._now, self._half_life)
        return ScoreParts(
            similarity=combine_similarity(candidate.similarity if candidate else None, share),
            importance=importance_of(row.role, recency, row.importance),
            recency=recency,
        )
