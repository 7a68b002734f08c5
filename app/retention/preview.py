"""What a run would do now: counts for each rule, and samples. A memory counts for the first rule that it meets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import CTE, case, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.content import is_sealing
from app.memory.ledger import Memory
from app.retention.matching import is_held, to_archive, to_delete
from app.retention.policy import RetentionRule

SAMPLES = 5
SAMPLE_CHARACTERS = 200


@dataclass(slots=True)
class RulePreview:
    name: str
    archive: int = 0
    delete: int = 0
    held: int = 0
    """Memories of users under a legal hold that stay, although the rule would archive or delete them."""
    sample_ids: list[UUID] = field(default_factory=list)


async def preview_policy(tx: AsyncSession, project_id: UUID, rules: Sequence[RetentionRule]) -> list[RulePreview]:
    previews = [RulePreview(rule.name) for rule in rules]
    if not rules:
        return previews
    parts = [select(each) for each in [*_archived_by_rule(project_id, rules), *_deleted_by_rule(project_id, rules)]]
    found = union_all(*parts).subquery()
    ids = func.array_agg(found.c.id).label("ids")
    query = select(found.c.rule, found.c.effect, func.count().label("total"), ids[1:SAMPLES].label("ids"))
    for row in await tx.execute(query.group_by(found.c.rule, found.c.effect)):
        preview = previews[row.rule]
        setattr(preview, row.effect, row.total)
        if row.effect == "archive":
            preview.sample_ids = row.ids
    return previews


def _archived_by_rule(project_id: UUID, rules: Sequence[RetentionRule]) -> list[CTE]:
    steps: list[CTE] = []
    for number, rule in enumerate(rules):
        without = [Memory.id.not_in(select(step.c.id)) for step in steps]
        effect = case((is_held(), "held"), else_="archive").label("effect")
        matching = select(Memory.id, literal(number).label("rule"), effect)
        steps.append(matching.where(*to_archive(rule, project_id, without)).cte(f"archived_{number}"))
    return steps


def _deleted_by_rule(project_id: UUID, rules: Sequence[RetentionRule]) -> list[CTE]:
    effect = case((is_held(), "held"), else_="delete").label("effect")
    return [
        select(Memory.id, literal(number).label("rule"), effect)
        .where(*to_delete(rule, project_id))
        .cte(f"deleted_{number}")
        for number, rule in enumerate(rules)
        if rule.delete_after_days is not None
    ]


async def load_samples(tx: AsyncSession, project_id: UUID, previews: Sequence[RulePreview]) -> dict[UUID, str]:
    """The beginning of each sampled memory, for callers that may read memories."""
    ids = [each for preview in previews for each in preview.sample_ids]
    is_whole = is_sealing(tx, project_id)
    text = Memory.content if is_whole else func.left(Memory.content, SAMPLE_CHARACTERS)
    query = select(Memory.id, text).where(Memory.project_id == project_id, Memory.id.in_(ids))
    return {row[0]: row[1][:SAMPLE_CHARACTERS] for row in await tx.execute(query)}
