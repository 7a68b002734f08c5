"""Make the index anew from the ledger, beside the one that serves, and swap at the end."""

import datetime as dt
from collections.abc import AsyncIterator
from itertools import groupby
from uuid import UUID

from sqlalchemy import text

from app.core.jobs import JobContext, resources_of, tasks
from app.core.ports import ToIndex
from app.core.resources import Resources
from app.memory.indexing.indexer import as_entries
from app.memory.indexing.repair import by_project, index_missing, load_for_index, remove_orphans, sweep

BATCH = 256
NAME = "reindex"
PAGE = text("select id, project_id from memories where id > :after order by id limit :batch")
COUNT = text("select count(*) from memories")
REPORT = text("""
insert into maintenance (name, done, total, state) values (:name, :done, :total, :state)
on conflict (name) do update
  set done = excluded.done, total = excluded.total, state = excluded.state, updated_at = now()
""")
NOW = text("select clock_timestamp()")
# Changed while an index of another embedder was filled, which live writes do not follow.
CHANGED = text("update memories set state = 'pending' where updated_at >= :started and state = 'indexed'")
LOOK = text("select done, total, state from maintenance where name = :name")


async def rebuild_index(resources: Resources) -> int:
    """What is written meanwhile reaches both, or, where another embedder makes the new one, is gone over once more
    after the swap, as is whatever slipped between."""
    embedder = resources.embedder
    async with resources.database.system() as tx:
        started, total = await tx.scalar(NOW), await tx.scalar(COUNT) or 0
    await report(resources, 0, total, "running")
    fresh = await resources.index.rebuild(embedder.name, embedder.dimensions)
    done, swapped = 0, False
    try:
        async for batch in _everything(resources):
            await fresh.upsert(await as_entries(embedder, batch))
            done += len(batch)
            await report(resources, done, max(done, total), "running")
        await fresh.swap()
        swapped = True
    finally:
        if not swapped:
            await fresh.abandon()
            await report(resources, done, total, "failed")
    await _repair(resources, started)
    await report(resources, done, done, "finished")
    return done


async def _repair(resources: Resources, started: dt.datetime | None) -> None:
    """Removals of another process may have come back with what was filled in."""
    async with resources.database.system() as tx:
        await tx.execute(CHANGED, {"started": started})
    await index_missing(resources)
    await sweep(resources, older_than_seconds=0)
    await remove_orphans(resources)


async def report(resources: Resources, done: int, total: int, state: str) -> None:
    async with resources.database.system() as tx:
        await tx.execute(REPORT, {"name": NAME, "done": done, "total": total, "state": state})


async def _everything(resources: Resources) -> AsyncIterator[list[ToIndex]]:
    after = UUID(int=0)
    while True:
        async with resources.database.system() as tx:
            rows = (await tx.execute(PAGE, {"after": after, "batch": BATCH})).all()
        if not rows:
            return
        after = rows[-1].id
        found: list[ToIndex] = []
        for project_id, group in groupby(sorted(rows, key=by_project), by_project):
            found += await load_for_index(resources, project_id, [row.id for row in group])
        yield found


@tasks.task(name="memory.reindex", pass_context=True, lock="memory.reindex", queueing_lock="memory.reindex")
async def reindex(context: JobContext) -> None:
    await rebuild_index(resources_of(context))
