from app.core.jobs import JobContext, resources_of, tasks
from app.memory.indexing.repair import remove_orphans, sweep

LEFT_BEHIND_SECONDS = 30


@tasks.periodic(cron="* * * * *")
@tasks.task(name="memory.sweep", pass_context=True, queueing_lock="memory.sweep", lock="memory.sweep")
async def sweep_often(context: JobContext, timestamp: int) -> None:
    del timestamp
    await sweep(resources_of(context), older_than_seconds=LEFT_BEHIND_SECONDS)


@tasks.periodic(cron="17 4 * * *")
@tasks.task(name="memory.remove_orphans", pass_context=True, queueing_lock="memory.orphans", lock="memory.orphans")
async def remove_orphans_daily(context: JobContext, timestamp: int) -> None:
    del timestamp
    await remove_orphans(resources_of(context))
