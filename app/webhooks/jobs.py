"""What is left of webhooks after a while."""

from sqlalchemy import text

from app.core.jobs import JobContext, resources_of, tasks

OLD = text("delete from webhook_deliveries where created_at < now() - interval '30 days'")


@tasks.periodic(cron="41 3 * * *")
@tasks.task(name="webhooks.tidy", pass_context=True, queueing_lock="webhooks.tidy", lock="webhooks.tidy")
async def tidy_daily(context: JobContext, timestamp: int) -> None:
    """The log of deliveries goes back a month."""
    del timestamp
    async with resources_of(context).database.system() as tx:
        await tx.execute(OLD)
