"""Fold long-unused episodes into summaries: the model answers without a transaction, and each fold is one transaction.

It may be interrupted at any time. A model's answer that was not recorded has no effect, and is asked for again.
"""

import datetime as dt
import json
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import AppError
from app.core.observability.metrics import EPISODE_FOLDS
from app.core.ports import Role
from app.core.resources import Resources
from app.memory.indexing import upserts_for_added
from app.memory.ledger import Door, Kind, MemoryRepository, NewMemory, Source, lock_chains, source_of
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.summaries.by_model import Flaw, UnusableSummary, ask_for_summary
from app.memory.summaries.episodes import LOCK_FOLDABLE_SQL, Episode, Group, find_groups
from app.memory.supersession import Replacement, supersede

log = structlog.get_logger()
Value = TypeVar("Value")
MAX_UNUSABLE = 3
"""After so many answers that cannot be used, a model is not asked again until the next day."""
LEAST_TRUSTED_FIRST = (Source.IMPORT, Source.TOOL, Source.ASSISTANT, Source.USER)


class FoldOutcome(StrEnum):
    """Of one group of episodes, besides the flaws of an answer."""

    FOLDED = "folded"
    CHANGED = "changed"
    """An episode was recalled, changed or deleted while the model answered. The others are folded later."""
    NO_MODEL = "no_model"
    OVER_BUDGET = "over_budget"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_FAILED = "model_failed"


STOPPING = {FoldOutcome.NO_MODEL, FoldOutcome.OVER_BUDGET, FoldOutcome.MODEL_UNAVAILABLE}
"""The next group would end the same way."""


@dataclass(slots=True)
class FoldReport:
    episodes: int = 0
    """How many were folded."""
    outcomes: Counter[FoldOutcome | Flaw] = field(default_factory=Counter)

    @property
    def summaries(self) -> int:
        return self.outcomes[FoldOutcome.FOLDED]

    @property
    def unusable(self) -> int:
        return sum(self.outcomes[each] for each in (*Flaw, FoldOutcome.MODEL_FAILED))

    @property
    def is_stopped(self) -> bool:
        return bool(STOPPING & self.outcomes.keys()) or self.unusable >= MAX_UNUSABLE

    def reasons(self) -> dict[str, int]:
        return {outcome.value: count for outcome, count in self.outcomes.items()}

    def count(self, outcome: FoldOutcome | Flaw, group: Group = ()) -> None:
        self.outcomes[outcome] += 1
        self.episodes += len(group) if outcome is FoldOutcome.FOLDED else 0
        EPISODE_FOLDS.labels(outcome.value).inc()


async def fold_episodes(resources: Resources, project_id: UUID, *, most: int) -> FoldReport:
    """At most so many summaries. Without a language model, or without budget, nothing happens but a count."""
    report = FoldReport()
    if resources.llm.name == "offline":
        report.count(FoldOutcome.NO_MODEL)
        return report
    today = dt.datetime.now(dt.UTC).toordinal()
    for _, group in await find_groups(resources.database, project_id, most, today):
        report.count(await _fold(resources, project_id, group), group)
        if report.is_stopped:
            break
    log.info("memory.folded", project_id=str(project_id), episodes=report.episodes, **report.reasons())
    return report


async def _fold(resources: Resources, project_id: UUID, group: Group) -> FoldOutcome | Flaw:
    try:
        summary = await ask_for_summary(resources, project_id, group)
    except UnusableSummary as error:
        return error.flaw
    except AppError as error:
        return _outcome_of(error)
    new = build_summary(group, summary)
    namespace = Namespace(project_id, group[0].user_id, group[0].profile_id)
    async with resources.database.transaction(project_id) as tx:
        if not await _lock_unchanged(tx, project_id, group):
            return FoldOutcome.CHANGED
        added = await MemoryRepository(tx, project_id).add_all(namespace, [new], deduplicate=False)
        now = dt.datetime.now(dt.UTC)
        await supersede(tx, project_id, [Replacement(each.id, new.id, now) for each in group])
    await resources.index_queue.put(upserts_for_added(namespace, [new], added))
    return FoldOutcome.FOLDED


def _outcome_of(error: AppError) -> FoldOutcome:
    if error.reason == "token_budget_used":
        return FoldOutcome.OVER_BUDGET
    return FoldOutcome.MODEL_UNAVAILABLE if error.is_outage else FoldOutcome.MODEL_FAILED


async def _lock_unchanged(tx: AsyncSession, project_id: UUID, group: Group) -> bool:
    ids = [each.id for each in group]
    await lock_chains(tx, project_id, ids)
    rows = await tx.execute(LOCK_FOLDABLE_SQL, {"project_id": project_id, "ids": ids})
    return {(row.id, bytes(row.hash)) for row in rows} == {(each.id, bytes(each.hash)) for each in group}


def build_summary(group: Group, content: str) -> NewMemory:
    """As old as its newest episode, so that it never ranks as newer than what was said since, and as little trusted as
    the least trusted one."""
    first = group[0]
    origin = Origin(
        user_id=first.user_id,
        agent_id=first.agent_id,
        app_id=first.app_id,
        run_id=_common([each.run_id for each in group]),
    )
    door = _common([each.door for each in group])
    return NewMemory(
        content,
        kind=Kind.SUMMARY,
        role=Role(first.role),
        origin=origin,
        metadata=json.loads(first.metadata),
        categories=sorted({name for each in group for name in each.categories or ()}) or None,
        importance=max((each.importance for each in group if each.importance is not None), default=None),
        standing=False,
        source=min(map(_source, group), key=LEAST_TRUSTED_FIRST.index),
        door=Door(door) if door else None,
        created_at=max(each.created_at for each in group),
        updated_at=dt.datetime.now(dt.UTC),
    )


def _source(episode: Episode) -> Source:
    return Source(episode.source) if episode.source else source_of(episode.role)


def _common(values: list[Value]) -> Value | None:
    return values[0] if len(set(values)) == 1 else None
