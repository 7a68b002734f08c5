from app.core.jobs import JobContext, resources_of, tasks
from app.memory.indexing.rebuild import rebuild_index
from app.memory.indexing.repair import mark_missing_pending, remove_orphans, sweep

SWEEP_AFTER_SECONDS = 30
"""Younger rows are still on their way through the queue."""


@tasks.periodic(cron="* * * * *")
@tasks.task(name="memory.sweep", pass_context=True, queueing_lock="memory.sweep", lock="memory.sweep")
async def sweep_every_minute(context: JobContext, timestamp: int) -> None:
    del timestamp
    await sweep(resources_of(context), older_than_seconds=SWEEP_AFTER_SECONDS)


@tasks.periodic(cron="17 4 * * *")
@tasks.task(name="memory.remove_orphans", pass_context=True, queueing_lock="memory.orphans", lock="memory.orphans")
async def remove_orphans_daily(context: JobContext, timestamp: int) -> None:
    """Also finds rows that are missing from the index although the counts agree."""
    del timestamp
    await remove_orphans(resources_of(context))
    await mark_missing_pending(resources_of(context))


@tasks.task(name="memory.reindex", pass_context=True, lock="memory.reindex", queueing_lock="memory.reindex")
async def reindex(context: JobContext) -> None:
    await rebuild_index(resources_of(context))
