"""Decay, which a project can enable: memories that were used lately rank higher, unused ones lower.

Decay changes the order of results only; it deletes nothing.
"""

import datetime as dt
import math
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Boolean, select

from app.core.ports import Vector
from app.core.resources import Resources
from app.memory.ledger import access_count_statements
from app.memory.recall.search import Question, Recalled, recall
from app.projects.models import Project

MIN_FACTOR, MAX_FACTOR = 0.3, 1.5
MAX_ACCESSES = 20
"""Only the latest accesses count."""
POOL_FACTOR, MIN_POOL_SIZE = 3, 50
HALF_LIFE_DAYS = 30.0


def candidate_pool_size(top_k: int) -> int:
    """How many results to rank before decay: one that decay lifts to the top may have ranked further down."""
    return max(top_k * POOL_FACTOR, MIN_POOL_SIZE)


def decay_factor(created_at: dt.datetime, accessed_at: Sequence[dt.datetime], now: dt.datetime) -> float:
    """1.0 for a new memory. Each access counts less the older it is; an unused memory sinks towards `MIN_FACTOR`."""
    freshness = half_life_weight(created_at, now)
    uses = sum(half_life_weight(each, now) for each in accessed_at[-MAX_ACCESSES:])
    # The first few accesses matter most: between 5 and 20 the boost hardly grows.
    boost = 1 - math.pow(0.7, uses)
    return MIN_FACTOR + (1 - MIN_FACTOR) * max(freshness, boost) + (MAX_FACTOR - 1) * boost


def half_life_weight(moment: dt.datetime, now: dt.datetime) -> float:
    """1 for now, and half as much for each half-life since."""
    days = max(0.0, (now - moment).total_seconds() / 86_400)
    return math.pow(0.5, days / HALF_LIFE_DAYS)


def apply_decay(found: Sequence[Recalled], top_k: int, now: dt.datetime) -> list[Recalled]:
    """Recall has applied the threshold already: decay changes the order, not what is relevant."""
    scored = []
    for each in found:
        factor = decay_factor(each.memory.created_at, each.memory.accessed_at, now)
        parts = {**each.parts, "decay": factor}
        scored.append(replace(each, score=min(1.0, max(0.0, each.score * factor)), parts=parts))
    return sorted(scored, key=lambda each: -each.score)[:top_k]


async def decay_enabled(resources: Resources, project_id: UUID) -> bool:
    """Every search needs the answer, so it is cached for a few seconds."""

    async def load() -> bool:
        async with resources.database.transaction(project_id) as tx:
            setting = Project.settings["decay"].astext.cast(Boolean)
            return bool(await tx.scalar(select(setting).where(Project.id == project_id)))

    return await resources.cache.get_or_load(("decay", project_id), load)


async def recall_with_decay(
    resources: Resources, question: Question, vector: Vector | Awaitable[Vector] | None = None
) -> list[Recalled]:
    """Recalls from a wider pool, applies decay, and counts the returned memories as accessed."""
    pool = await recall(resources, replace(question, top_k=candidate_pool_size(question.top_k)), vector)
    best = apply_decay(pool, question.top_k, question.at or dt.datetime.now(dt.UTC))
    if best and question.counts_access and not resources.disk_space.is_low():
        statements = access_count_statements(question.project_id, [each.memory.id for each in best])
        await resources.database.pipeline(question.project_id, question.user_id, *statements)
    return best
