"""Recall while the question cannot be embedded: by words alone, among the memories in the index and those that wait
for it."""

import asyncio
from collections.abc import Awaitable, Sequence
from uuid import UUID

import structlog
from sqlalchemy import select

from app.core.errors import AppError
from app.core.observability.metrics import SEARCHED_BY_WORDS
from app.core.ports import Candidate, SearchScope, Vector, VectorIndex
from app.core.resources import Resources
from app.memory.ledger import Memory, is_memory
from app.memory.recall.features import RankingInput

log = structlog.get_logger()
MAX_PENDING = 500
"""So many of the newest memories that are not in the index yet are read."""
UNLIKE, ALIKE = 0.2, 0.5
"""The typical similarity of a memory that contains no word of the question, and of one that contains every word."""


def report_embedding(task: asyncio.Task[Vector]) -> None:
    """Counts a question that cannot be embedded, so that it is answered by words."""
    error = None if task.cancelled() else task.exception()
    if isinstance(error, AppError | OSError):
        SEARCHED_BY_WORDS.inc()
        log.warning("recall.by_words", exc_info=error)


def is_embedded(vector: Vector | Awaitable[Vector] | None) -> bool:
    """False once it is known that the question cannot be embedded. None is one that needs no vector.

    A mistake of ours is no reason to go on without a vector."""
    if not isinstance(vector, asyncio.Task) or not vector.done() or vector.cancelled():
        return True
    return not isinstance(vector.exception(), AppError | OSError)


async def find_candidates(
    resources: Resources, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
) -> list[Candidate]:
    """By meaning and by words. If the question cannot be embedded, by words alone, without an estimate of meaning."""
    if is_embedded(vector):
        try:
            return await resources.index.find_candidates(scope, vector, text, limit)
        except (AppError, OSError):
            if is_embedded(vector):
                raise
    found = await resources.index.find_by_words(scope, text, limit)
    known = {each.id for each in found}
    return found + [Candidate(each, None, None) for each in await find_waiting(resources, scope) if each not in known]


async def find_waiting(resources: Resources, scope: SearchScope) -> Sequence[UUID]:
    """The memories that were added while the provider was away. The caller reads their rows, and checks who may."""
    waiting = select(Memory.id).where(Memory.project_id == scope.project_id, is_memory(), Memory.state == "pending")
    if scope.namespaces is not None:
        waiting = waiting.where(Memory.namespace.in_(scope.namespaces))
    if scope.only is not None:
        waiting = waiting.where(Memory.id.in_(scope.only))
    async with resources.database.transaction(scope.project_id) as tx:
        return (await tx.scalars(waiting.order_by(Memory.created_at.desc()).limit(MAX_PENDING))).all()


def with_word_similarity(index: VectorIndex, question: str, found: Sequence[RankingInput]) -> list[RankingInput]:
    """Ranks by the share of the question's words instead of by meaning, so that scores keep their scale. Without any
    word of the question, nothing is found."""
    shares = index.share_of_words(question, [each.content for each in found])
    return [
        each._replace(similarity=UNLIKE + (ALIKE - UNLIKE) * share)
        for each, share in zip(found, shares, strict=True)
        if share > 0 or each.bm25
    ]
