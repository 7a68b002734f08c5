from app.core.jobs import JobContext, resources_of, tasks
from app.memory.ledger.event_retention import delete_old_events


@tasks.periodic(cron="53 3 * * *")
@tasks.task(name="memory.forget_events", pass_context=True, queueing_lock="forget_events", lock="forget_events")
async def delete_old_events_daily(context: JobContext, timestamp: int) -> None:
    del timestamp
    await delete_old_events(resources_of(context))
