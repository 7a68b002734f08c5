"""What is over is forgotten after a while: finished events go, what they made stays."""

from sqlalchemy import text

from app.core.jobs import JobContext, resources_of, tasks
from app.core.resources import Resources

AT_ONCE = 5000
FORGET = text("select private.forget_events(:days, :most)")


@tasks.periodic(cron="53 3 * * *")
@tasks.task(name="memory.forget_events", pass_context=True, queueing_lock="forget_events", lock="forget_events")
async def forget_events_daily(context: JobContext, timestamp: int) -> None:
    del timestamp
    await forget_events(resources_of(context))


async def forget_events(resources: Resources, *, at_once: int = AT_ONCE) -> int:
    """In short transactions: the first time there may be a year of them."""
    some = {"days": resources.values.events_kept_days, "most": at_once}
    gone = 0
    while True:
        async with resources.database.system() as tx:
            count: int = (await tx.execute(FORGET, some)).scalar_one()
        gone += count
        if count < at_once:
            return gone
