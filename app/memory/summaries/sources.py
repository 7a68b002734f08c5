"""A summary and the episodes that it was made from, in a request to forget."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.ext.asyncio import AsyncSession

from app.memory.ledger import Kind, Memory, MemoryRepository
from app.memory.namespace import Namespace

Groups = list[list[Memory]]


async def join_summaries(tx: AsyncSession, namespace: Namespace, groups: Groups) -> Groups:
    """A summary is in the group of its episode that is meant, because it goes with it. If none is, the episodes join
    the summary: they contain what it says."""
    meant = {row.id: row for group in groups for row in group}
    linked = {link for row in meant.values() if row.kind == Kind.EPISODE for link in links_of(row)}
    repository = MemoryRepository(tx, namespace.project_id, namespace.user_id)
    here = [Memory.namespace == str(namespace)]
    ids = {*linked, *(row.id for row in meant.values() if row.kind == Kind.SUMMARY)}
    if not ids:
        return groups
    for summary in await repository.find_all(list(ids), Memory.kind == Kind.SUMMARY, *here):
        episodes = [row for row in meant.values() if summary.id in links_of(row)]
        if episodes:
            groups = _moved(groups, summary, episodes)
        else:
            group = next(each for each in groups if any(row.id == summary.id for row in each))
            group += await tx.scalars(
                repository.rows.where(_is_source_of(summary.id), *here).order_by(Memory.created_at)
            )
    return groups


def links_of(row: Memory) -> Sequence[UUID]:
    """The successor, and those whose replacement of this memory was undone."""
    return [*(row.coexists_with or ()), *([row.replaced_by] if row.replaced_by else [])]


def _is_source_of(summary_id: UUID) -> ColumnElement[bool]:
    return and_(
        Memory.kind == Kind.EPISODE,
        or_(Memory.replaced_by == summary_id, Memory.coexists_with.contains([summary_id])),
    )


def _moved(groups: Groups, summary: Memory, episodes: Sequence[Memory]) -> Groups:
    ids = {row.id for row in episodes}
    first = next(number for number, group in enumerate(groups) if any(row.id in ids for row in group))
    without = [[row for row in group if row.id != summary.id] for group in groups]
    without[first].append(summary)
    return [group for group in without if group]
