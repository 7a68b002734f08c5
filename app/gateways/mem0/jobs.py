from sqlalchemy import text

from app.core.jobs import JobContext, resources_of, tasks

DELETE_OLD_EXPORTS_SQL = text("delete from memory_exports where created_at < now() - interval '7 days'")


@tasks.periodic(cron="47 3 * * *")
@tasks.task(name="exports.tidy", pass_context=True, queueing_lock="exports.tidy", lock="exports.tidy")
async def delete_old_exports(context: JobContext, timestamp: int) -> None:
    """Memory exports can be fetched for a week."""
    del timestamp
    async with resources_of(context).database.system() as tx:
        await tx.execute(DELETE_OLD_EXPORTS_SQL)
