"""The daily job that deletes old deliveries."""

from sqlalchemy import text

from app.core.jobs import JobContext, resources_of, tasks

DELETE_OLD_DELIVERIES_SQL = text("delete from webhook_deliveries where created_at < now() - interval '30 days'")


@tasks.periodic(cron="41 3 * * *")
@tasks.task(name="webhooks.tidy", pass_context=True, queueing_lock="webhooks.tidy", lock="webhooks.tidy")
async def delete_old_deliveries(context: JobContext, timestamp: int) -> None:
    """Deliveries are kept for 30 days."""
    del timestamp
    async with resources_of(context).database.system() as tx:
        await tx.execute(DELETE_OLD_DELIVERIES_SQL)
