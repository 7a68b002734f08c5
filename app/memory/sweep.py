"""Repair: rows that never reached the index, and vectors whose rows are gone. Safe to run at any time, anywhere."""

from collections.abc import Sequence
from itertools import groupby
from uuid import UUID

import structlog
from sqlalchemy import text

from app.core.ports import IndexedId, ToIndex
from app.core.resources import Resources
from app.memory.ledger import MemoryRepository

log = structlog.get_logger()
BATCH = 1000
PENDING = text("""
select id, project_id from memories where state = 'pending' and updated_at < now() - make_interval(secs => :age)
order by project_id limit :batch
""")
REMOVALS = text("""
select memory_id from vector_removals where created_at < now() - make_interval(secs => :age) limit :batch
""")
REMOVED = text("delete from vector_removals where memory_id = any(:ids)")
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
    async with resources.database.system() as tx:
        rows = (await tx.execute(PENDING, {"age": age, "batch": BATCH})).all()
    for project_id, group in groupby(rows, key=lambda row: row.project_id):
        await resources.index_queue.put(await load_for_index(resources, project_id, [row.id for row in group]))
    return len(rows)


async def load_for_index(resources: Resources, project_id: UUID, ids: Sequence[UUID]) -> list[ToIndex]:
    async with resources.database.transaction(project_id) as tx:
        memories = await MemoryRepository(tx, project_id).many(ids)
    return [
        ToIndex(each.id, project_id, each.namespace, each.content, each.context, each.created_at, each.updated_at)
        for each in memories
    ]


async def _finish_removals(resources: Resources, age: float) -> int:
    async with resources.database.system() as tx:
        ids = list(await tx.scalars(REMOVALS, {"age": age, "batch": BATCH}))
    if ids:
        await resources.index.remove(ids)
        async with resources.database.system() as tx:
            await tx.execute(REMOVED, {"ids": ids})
    return len(ids)


async def _without_rows(resources: Resources, entries: Sequence[IndexedId]) -> list[UUID]:
    ids = [entry.id for entry in entries]
    async with resources.database.system() as tx:
        present = set(await tx.scalars(PRESENT, {"ids": ids}))
    return [each for each in ids if each not in present]
