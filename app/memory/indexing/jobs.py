from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs import JobContext, defer, defer_for_each_project, resources_of, tasks
from app.memory.indexing.change_embedder import change_embedder
from app.memory.indexing.rebuild import rebuild_index
from app.memory.indexing.repair import mark_missing_pending, remove_orphans, sweep

SWEEP_AFTER_SECONDS = 30
"""Younger rows are still on their way through the queue."""
SELECT_UNFINISHED_CHANGES_SQL = text("""
select project_id from project_embedders
where (phase <> 'settled' or chosen <> serving) and not exists (
  select from jobs.procrastinate_jobs j
  where j.lock = 'embedder:' || project_id and j.status in ('todo', 'doing'))
""")


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


@tasks.task(name="memory.change_embedder", pass_context=True)
async def change_embedder_of_project(context: JobContext, project_id: str) -> None:
    """A trigger defers this job when a project chooses another embedder."""
    await change_embedder(resources_of(context), UUID(project_id))


@tasks.periodic(cron="* * * * *")
@tasks.task(name="memory.change_embedders_left", pass_context=True, queueing_lock="embedders", lock="embedders")
async def change_embedders_left_behind(context: JobContext, timestamp: int) -> None:
    """Finds changes whose job failed."""
    del timestamp
    await defer_for_each_project(context, SELECT_UNFINISHED_CHANGES_SQL, _defer_change)


async def _defer_change(tx: AsyncSession, project_id: UUID) -> None:
    await defer(tx, change_embedder_of_project, lock=f"embedder:{project_id}", project_id=str(project_id))
