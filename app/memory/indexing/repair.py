"""Repair: rows that never reached the index, and vectors whose rows are gone. Safe to run at any time, anywhere."""

from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, TextClause, text

from app.core.ports import IndexedId, ToIndex
from app.core.resources import Resources
from app.memory.indexing.indexer import REMOVED, load_versions

log = structlog.get_logger()
BATCH = 1000
PENDING = text("""
select id, project_id from memories
where state = 'pending' and updated_at < now() - make_interval(secs => :age) and id > :after order by id limit :batch
""")
REMOVALS = text("""
select memory_id from vector_removals
where created_at < now() - make_interval(secs => :age) and memory_id > :after order by memory_id limit :batch
""")
PRESENT = text("select id from memories where id = any(:ids)")


async def sweep(resources: Resources, *, older_than_seconds: float) -> int:
    """What a crash left between the commit and the index. Young rows are still on their ordinary way."""
    found = await _index_pending(resources, older_than_seconds) + await _finish_removals(resources, older_than_seconds)
    if found:
        log.info("memory.swept", count=found)
    return found


async def remove_orphans(resources: Resources) -> int:
    """Vectors without rows. They never surface, but they take room."""
    removed = 0
    async for entries in resources.index.walk(BATCH):
        orphans = await _without_rows(resources, entries)
        await resources.index.remove(orphans)
        removed += len(orphans)
    return removed


async def index_missing(resources: Resources) -> int:
    """Rows marked as indexed that the index does not have: after it was lost or replaced."""
    from_ledger = text("update memories set state = 'pending' where id = any(:ids) and state = 'indexed'")
    missing, after = 0, UUID(int=0)
    while True:
        async with resources.database.system() as tx:
            page = text("select id from memories where id > :after order by id limit :batch")
            ids = list(await tx.scalars(page, {"after": after, "batch": BATCH}))
        if not ids:
            return missing
        after = ids[-1]
        lost = set(ids) - await resources.index.present(ids)
        missing += len(lost)
        async with resources.database.system() as tx:
            await tx.execute(from_ledger, {"ids": list(lost)})


async def _index_pending(resources: Resources, age: float) -> int:
    """Page after page, as fast as the index takes them: after a restore that is everything."""
    count = 0
    async for rows in _pages(resources, PENDING, age):
        for project_id, group in groupby(sorted(rows, key=by_project), by_project):
            await resources.index_queue.put(await load_for_index(resources, project_id, [row.id for row in group]))
        count += len(rows)
    return count


async def load_for_index(resources: Resources, project_id: UUID, ids: Sequence[UUID]) -> list[ToIndex]:
    return await load_versions(resources.database, project_id, ids)


async def _finish_removals(resources: Resources, age: float) -> int:
    count = 0
    async for rows in _pages(resources, REMOVALS, age):
        ids = [row[0] for row in rows]
        await resources.index.remove(ids)
        async with resources.database.system() as tx:
            await tx.execute(REMOVED, {"ids": ids})
        count += len(ids)
    return count


async def _pages(resources: Resources, page: TextClause, age: float) -> AsyncIterator[Sequence[Row[Any]]]:
    after = UUID(int=0)
    while True:
        async with resources.database.system() as tx:
            rows = (await tx.execute(page, {"age": age, "after": after, "batch": BATCH})).all()
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def by_project(row: Row[Any]) -> UUID:
    project_id: UUID = row.project_id
    return project_id


async def _without_rows(resources: Resources, entries: Sequence[IndexedId]) -> list[UUID]:
    ids = [entry.id for entry in entries]
    async with resources.database.system() as tx:
        present = set(await tx.scalars(PRESENT, {"ids": ids}))
    return [each for each in ids if each not in present]
