"""The conditions of a rule in SQL. The dry run and the run use the same ones."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.sql.elements import SQLCoreOperations

from app.memory.ledger import Memory, MemoryHistory
from app.retention.policy import RetentionRule

UNKNOWN_IMPORTANCE = 0.5
RESTORED_DAYS = 30
"""A memory that was restored is not archived again by any rule for so long."""
LAST_USED = func.greatest(Memory.created_at, Memory.accessed_at[func.cardinality(Memory.accessed_at)])


def is_held() -> ColumnElement[bool]:
    """Whether the user of the memory is under a legal hold."""
    held = func.private.held_users().column_valued("held_user")
    return and_(Memory.user_id.is_not(None), Memory.user_id.in_(select(held)))


def to_archive(
    rule: RetentionRule, project_id: UUID, without: Sequence[ColumnElement[bool]] = ()
) -> list[ColumnElement[bool]]:
    """The conditions of a memory that the rule archives. `without` leaves out what earlier rules archive."""
    live = [Memory.project_id == project_id, Memory.archived_at.is_(None), *_kind_and_role(rule), *without]
    if rule.max_memories is not None:
        return [*live, Memory.id.in_(_beyond_the_cap(rule, live)), ~_was_restored()]
    return [*live, *_limits(rule), ~_was_restored()]


def to_delete(rule: RetentionRule, project_id: UUID) -> list[ColumnElement[bool]]:
    """The conditions of a memory that the rule archived long enough ago. Its history names the rule."""
    archived_by_rule = exists().where(
        MemoryHistory.project_id == project_id,
        MemoryHistory.memory_id == Memory.id,
        MemoryHistory.event == "ARCHIVE",
        MemoryHistory.created_at == Memory.archived_at,
        MemoryHistory.metadata_["rule"].astext == rule.name,
    )
    return [Memory.project_id == project_id, _is_before(Memory.archived_at, rule.delete_after_days), archived_by_rule]


def _kind_and_role(rule: RetentionRule) -> list[ColumnElement[bool]]:
    given = ((Memory.kind, rule.kinds), (Memory.role, rule.roles))
    return [attribute.in_(values) for attribute, values in given if values is not None]


def _limits(rule: RetentionRule) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if rule.older_than_days is not None:
        found.append(_is_before(Memory.created_at, rule.older_than_days))
    if rule.unused_for_days is not None:
        found.append(_is_before(LAST_USED, rule.unused_for_days))
    if rule.importance_below is not None:
        found.append(Memory.importance < rule.importance_below)
    return found


def _is_before(moment: SQLCoreOperations[Any], days: int | None) -> ColumnElement[bool]:
    return moment < func.now() - dt.timedelta(days=days or 0)


def _was_restored() -> ColumnElement[bool]:
    return exists().where(
        MemoryHistory.project_id == Memory.project_id,
        MemoryHistory.memory_id == Memory.id,
        MemoryHistory.event == "RESTORE",
        MemoryHistory.created_at > func.now() - dt.timedelta(days=RESTORED_DAYS),
    )


def _beyond_the_cap(rule: RetentionRule, live: Sequence[ColumnElement[bool]]) -> Select[UUID]:
    """The most important memories are kept, of these the ones used last. Held ones count."""
    best_first = (func.coalesce(Memory.importance, UNKNOWN_IMPORTANCE).desc(), LAST_USED.desc(), Memory.id)
    group = Memory.user_id if rule.per == "user" else Memory.project_id
    place = func.row_number().over(partition_by=group, order_by=best_first).label("place")
    counted = [*live, Memory.user_id.is_not(None)] if rule.per == "user" else live
    ranked = select(Memory.id, place).where(*counted).subquery()
    return select(ranked.c.id).where(ranked.c.place > rule.max_memories)
