"""Decay, where a project wants it: what was used lately ranks higher, what was not fades. Nothing is ever forgotten."""

import datetime as dt
import math
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Boolean, select

from app.core.ports import Vector
from app.core.resources import Resources
from app.memory.ledger.repository import counting
from app.memory.recall.recall import Question, Recalled, recall
from app.projects.models import Project

FLOOR, CEILING = 0.3, 1.5
LAST = 20
"""Accesses that are looked at."""
WIDER, LEAST_POOL = 3, 50
HALF_LIFE_DAYS = 30.0


def pool(top_k: int) -> int:
    """How many to rank before some fade: what comes out on top may have stood further down."""
    return max(top_k * WIDER, LEAST_POOL)


def factor(created_at: dt.datetime, accessed_at: Sequence[dt.datetime], now: dt.datetime) -> float:
    """1.0 for what is new. Each use counts less the longer ago it was; unused, a memory fades towards the floor."""
    freshness, uses = halved(created_at, now), sum(halved(each, now) for each in accessed_at[-LAST:])
    # The first few uses matter most: between five and twenty there is little left to tell.
    boost = 1 - math.pow(0.7, uses)
    return FLOOR + (1 - FLOOR) * max(freshness, boost) + (CEILING - 1) * boost


def halved(moment: dt.datetime, now: dt.datetime) -> float:
    """1 for now, half of it for each half-life since."""
    days = max(0.0, (now - moment).total_seconds() / 86_400)
    return math.pow(0.5, days / HALF_LIFE_DAYS)


def fade(found: Sequence[Recalled], top_k: int, now: dt.datetime) -> list[Recalled]:
    """The threshold was applied before: decay changes the order, not what is relevant."""
    scored = []
    for each in found:
        by = factor(each.memory.created_at, each.memory.accessed_at, now)
        parts = {**each.parts, "decay": by}
        scored.append(replace(each, score=min(1.0, max(0.0, each.score * by)), parts=parts))
    return sorted(scored, key=lambda each: -each.score)[:top_k]


async def decays(resources: Resources, project_id: UUID) -> bool:
    """Every search asks, so it is known for a few seconds."""

    async def load() -> bool:
        async with resources.database.transaction(project_id) as tx:
            wanted = Project.settings["decay"].astext.cast(Boolean)
            return bool(await tx.scalar(select(wanted).where(Project.id == project_id)))

    return await resources.brief.ask(("decay", project_id), load)


async def recall_fading(
    resources: Resources, question: Question, vector: Vector | Awaitable[Vector] | None = None
) -> list[Recalled]:
    """Recall where memories fade: from a wider pool, and what is shown counts as used."""
    found = await recall(resources, replace(question, top_k=pool(question.top_k)), vector)
    shown = fade(found, question.top_k, question.at or dt.datetime.now(dt.UTC))
    if shown:
        used = counting(question.project_id, [each.memory.id for each in shown])
        await resources.database.at_once(question.project_id, question.user_id, *used)
    return shown
