"""Find the memories that a request to forget means, whatever their state: archived and superseded ones, too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np
import structlog
from sqlalchemy import and_, not_, select

from app.core.errors import AppError
from app.core.ports import Purpose, SearchScope, Vector
from app.core.resources import Resources
from app.core.text.forget_requests import ForgetRequest
from app.memory.indexing import embedding_text
from app.memory.ledger import Memory, MemoryRepository, visible
from app.memory.meant import CandidateStatement, choose_meant, choose_meant_by_words
from app.memory.namespace import Namespace
from app.memory.recall import find_waiting
from app.memory.summaries.sources import join_summaries

log = structlog.get_logger()
MAX_CANDIDATES = 100
MAX_NOT_INDEXED = 100


@dataclass(frozen=True, slots=True)
class MeantMemories:
    groups: list[list[Memory]]
    """Best first; the memories that say the same are one group."""
    by_meaning: bool = True
    """False if the request could not be embedded, so that only memories with its words were found."""


async def find_meant(resources: Resources, namespace: Namespace, request: ForgetRequest) -> MeantMemories:
    meant = await _find(resources, namespace, request)
    if not meant.groups:
        return meant
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        return replace(meant, groups=await join_summaries(tx, namespace, meant.groups))


async def _find(resources: Resources, namespace: Namespace, request: ForgetRequest) -> MeantMemories:
    await resources.index_queue.wait_until_indexed(namespace.project_id, [str(namespace)], seconds=2)
    scope = SearchScope(namespace.project_id, (str(namespace),))
    wish = await _embed(resources, scope, [request.what], Purpose.QUERY)
    if wish is None:
        return await _find_by_words(resources, namespace, scope, request)
    candidates = await resources.index.find_candidates(scope, wish[0], request.what, MAX_CANDIDATES)
    rows = await _load(resources, namespace, [each.id for each in candidates])
    texts = [request.what, *(embedding_text(row.content) for row in rows)]
    vectors = await _embed(resources, scope, texts, Purpose.DOCUMENT) if rows else []
    if vectors is None:
        return await _find_by_words(resources, namespace, scope, request)
    if not vectors:
        return MeantMemories([])
    similarities = (np.array(vectors[1:]) @ np.array(vectors[0])).tolist()
    statements = [
        CandidateStatement(row.content, similarity, vector)
        for row, similarity, vector in zip(rows, similarities, vectors[1:], strict=True)
    ]
    return MeantMemories(_groups(rows, choose_meant(request, statements)))


async def _find_by_words(
    resources: Resources, namespace: Namespace, scope: SearchScope, request: ForgetRequest
) -> MeantMemories:
    candidates = await resources.index.find_by_words(scope, request.what, MAX_CANDIDATES)
    waiting = await find_waiting(resources, scope)
    rows = await _load(resources, namespace, [*(each.id for each in candidates), *waiting])
    chosen = choose_meant_by_words(request, [row.content for row in rows])
    return MeantMemories(_groups(rows, chosen), by_meaning=False)


async def _embed(
    resources: Resources, scope: SearchScope, texts: list[str], purpose: Purpose
) -> Sequence[Vector] | None:
    """None if the embedder cannot be reached."""
    try:
        return await resources.embedder.embed(texts, purpose, tenant=scope.project_id)
    except (AppError, OSError) as error:
        log.warning("forget.by_words", exc_info=error)
        return None


def _groups(rows: Sequence[Memory], places: Sequence[Sequence[int]]) -> list[list[Memory]]:
    return [[rows[place] for place in group] for group in places]


async def _load(resources: Resources, namespace: Namespace, candidates: list[UUID]) -> list[Memory]:
    """The candidates, and the newest memories that the index does not have."""
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        repository = MemoryRepository(tx, namespace.project_id, namespace.user_id)
        mine = [*repository.mine(), Memory.namespace == str(namespace)]
        hidden = select(Memory).where(*mine, not_(and_(*visible()))).order_by(Memory.created_at.desc())
        rows = [*await repository.find_all(candidates, Memory.namespace == str(namespace))]
        rows += await tx.scalars(hidden.limit(MAX_NOT_INDEXED))
    return list({row.id: row for row in rows}.values())
