"""Rebuild: fills a new index from the ledger while the old one serves, and swaps them at the end."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from sqlalchemy import text

from app.core.ports import IndexUpsert
from app.core.resources import Resources
from app.memory.embedders import IndexPart, index_parts
from app.memory.indexing.indexer import build_entries, load_upserts
from app.memory.indexing.repair import by_project, mark_missing_pending, remove_orphans, sweep

BATCH_SIZE = 256
REBUILD_NAME = "reindex"
SELECT_MEMORIES_PAGE_SQL = text("""
select id, project_id from memories where id > :after and archived_at is null order by id limit :batch
""")
COUNT_MEMORIES_SQL = text("select count(*) from memories where archived_at is null")
SELECT_NOW_SQL = text("select clock_timestamp()")
SELECT_REBUILD_PROGRESS_SQL = text("select done, total, state from maintenance where name = :name")
UPSERT_REBUILD_PROGRESS_SQL = text("""
insert into maintenance (name, done, total, state) values (:name, :done, :total, :state)
on conflict (name) do update
  set done = excluded.done, total = excluded.total, state = excluded.state, updated_at = now()
""")
# Live writes do not reach a new index of another embedder.
MARK_CHANGED_PENDING_SQL = text("""
with locked as (
  select id from memories where updated_at >= :started and state = 'indexed' order by id for update
)
update memories set state = 'pending' where id = any(array(select id from locked)) and state = 'indexed'
""")


async def rebuild_index(resources: Resources) -> int:
    """Returns the number of memories in the new index.

    Live writes reach both indexes. Where another embedder makes the new one they cannot, so whatever changed
    meanwhile is indexed again after the swap.
    """
    parts = await index_parts(resources.embedder, resources.index)
    async with resources.database.system() as tx:
        started, total = await tx.scalar(SELECT_NOW_SQL), await tx.scalar(COUNT_MEMORIES_SQL) or 0
    progress = RebuildProgress(resources, total)
    await progress.record("running")
    for part in parts:
        await _rebuild_part(resources, part, progress)
    await _repair(resources, started)
    progress.total = progress.done
    await progress.record("finished")
    return progress.done


@dataclass
class RebuildProgress:
    resources: Resources
    total: int
    done: int = 0

    async def record(self, state: str) -> None:
        await record_progress(self.resources, self.done, max(self.done, self.total), state)


async def _rebuild_part(resources: Resources, part: IndexPart, progress: RebuildProgress) -> None:
    rebuild = await part.index.start_rebuild(part.embedder.name, part.embedder.dimensions)
    swapped = False
    try:
        async for batch in _all_memories(resources, part):
            await rebuild.upsert(await build_entries(part.embedder, batch))
            progress.done += len(batch)
            await progress.record("running")
        await rebuild.swap()
        swapped = True
    finally:
        if not swapped:
            await rebuild.abandon()
            await progress.record("failed")


async def _repair(resources: Resources, started: dt.datetime | None) -> None:
    """Filling the new index may also have restored what another process removed meanwhile."""
    async with resources.database.system() as tx:
        await tx.execute(MARK_CHANGED_PENDING_SQL, {"started": started})
    await mark_missing_pending(resources)
    await sweep(resources, older_than_seconds=0)
    await remove_orphans(resources)


async def record_progress(resources: Resources, done: int, total: int, state: str) -> None:
    async with resources.database.system() as tx:
        values = {"name": REBUILD_NAME, "done": done, "total": total, "state": state}
        await tx.execute(UPSERT_REBUILD_PROGRESS_SQL, values)


async def _all_memories(resources: Resources, part: IndexPart) -> AsyncIterator[list[IndexUpsert]]:
    after = UUID(int=0)
    while True:
        async with resources.database.system() as tx:
            rows = (await tx.execute(SELECT_MEMORIES_PAGE_SQL, {"after": after, "batch": BATCH_SIZE})).all()
        if not rows:
            return
        after = rows[-1].id
        batch: list[IndexUpsert] = []
        mine = [row for row in rows if part.holds(row.project_id)]
        for project_id, group in groupby(sorted(mine, key=by_project), by_project):
            batch += await load_upserts(resources.database, project_id, [row.id for row in group])
        yield batch
