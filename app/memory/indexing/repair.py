"""Repair: indexes rows that never reached the index and removes vectors whose rows are gone.

Every function is safe to run at any time and in several processes at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, TextClause, text

from app.core.ports import IndexedId
from app.core.resources import Resources
from app.memory.embedders import index_parts
from app.memory.indexing.indexer import DELETE_VECTOR_REMOVALS_SQL, MARK_RESTORED_SQL, load_upserts

log = structlog.get_logger()
BATCH_SIZE = 1000
MAX_PAUSE_SECONDS = 10.0
SELECT_PENDING_PAGE_SQL = text("""
select id, project_id from memories
where state = 'pending' and archived_at is null and updated_at < now() - make_interval(secs => :age) and id > :after
order by id limit :batch
""")
SELECT_REMOVALS_PAGE_SQL = text("""
select memory_id from vector_removals
where created_at < now() - make_interval(secs => :age) and memory_id > :after order by memory_id limit :batch
""")
SELECT_IDS_PAGE_SQL = text("""
select id, project_id from memories where id > :after and archived_at is null order by id limit :batch
""")
SELECT_EXISTING_IDS_SQL = text("select id from memories where id = any(:ids) and archived_at is null")
MARK_PENDING_SQL = text("""
with locked as (select id from memories where id = any(:ids) and state = 'indexed' order by id for update)
update memories set state = 'pending' where id = any(array(select id from locked)) and state = 'indexed'
""")


async def sweep(resources: Resources, *, older_than_seconds: float) -> int:
    """Finish what a crash interrupted between the commit and the index. Younger rows are still in the queue."""
    count = await _finish_removals(resources, older_than_seconds)
    if await _can_embed(resources):
        count += await _index_pending(resources, older_than_seconds)
    if count:
        log.info("memory.swept", count=count)
    return count


async def remove_orphans(resources: Resources) -> int:
    """Remove vectors without rows, of archived memories, and of projects that use another index. No search returns
    them, but they take up space."""
    removed = 0
    for part in await index_parts(resources.embedder, resources.index):
        async for entries in part.index.iterate_entries(BATCH_SIZE):
            orphans = await _without_rows(resources, [each for each in entries if part.holds(each.project_id)])
            foreign = [each.id for each in entries if not part.holds(each.project_id)]
            await part.index.remove([*orphans, *foreign])
            async with resources.database.system() as tx:
                await tx.execute(MARK_RESTORED_SQL, {"ids": orphans})
            removed += len(orphans) + len(foreign)
    return removed


async def mark_missing_pending(resources: Resources) -> int:
    """Mark rows as pending that the index should have but has not: it was lost or replaced."""
    parts = await index_parts(resources.embedder, resources.index)
    count, after = 0, UUID(int=0)
    while True:
        async with resources.database.system() as tx:
            rows = (await tx.execute(SELECT_IDS_PAGE_SQL, {"after": after, "batch": BATCH_SIZE})).all()
        if not rows:
            return count
        after = rows[-1].id
        missing: set[UUID] = set()
        for part in parts:
            ids = [row.id for row in rows if part.serves(row.project_id)]
            missing |= set(ids) - await part.index.find_existing(ids)
        count += len(missing)
        async with resources.database.system() as tx:
            await tx.execute(MARK_PENDING_SQL, {"ids": list(missing)})


async def _can_embed(resources: Resources) -> bool:
    """While the provider is away, every batch would fail."""
    is_healthy = resources.checks.get("embedding_model")
    return is_healthy is None or await is_healthy()


async def _index_pending(resources: Resources, age: float) -> int:
    """Page after page, at the pace of the index: after a restore every row is pending."""
    count = 0
    async for rows in _pages(resources, SELECT_PENDING_PAGE_SQL, age):
        for project_id, group in groupby(sorted(rows, key=by_project), by_project):
            ids = [row.id for row in group if row.id not in resources.index_queue]
            await _queue_rows(resources, project_id, ids)
        count += len(rows)
    return count


async def _queue_rows(resources: Resources, project_id: UUID, ids: Sequence[UUID]) -> None:
    """A project whose queue is full does not stop the sweep of the others."""
    changes = await load_upserts(resources.database, project_id, ids)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MAX_PAUSE_SECONDS):
            await resources.index_queue.put(changes)


async def _finish_removals(resources: Resources, age: float) -> int:
    count = 0
    async for rows in _pages(resources, SELECT_REMOVALS_PAGE_SQL, age):
        ids = [row[0] for row in rows]
        await resources.index.remove(ids)
        async with resources.database.system() as tx:
            await tx.execute(DELETE_VECTOR_REMOVALS_SQL, {"ids": ids})
            await tx.execute(MARK_RESTORED_SQL, {"ids": ids})
        count += len(ids)
    return count


async def _pages(resources: Resources, statement: TextClause, age: float) -> AsyncIterator[Sequence[Row[Any]]]:
    after = UUID(int=0)
    while True:
        async with resources.database.system() as tx:
            rows = (await tx.execute(statement, {"age": age, "after": after, "batch": BATCH_SIZE})).all()
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
        existing = set(await tx.scalars(SELECT_EXISTING_IDS_SQL, {"ids": ids}))
    return [each for each in ids if each not in existing]
