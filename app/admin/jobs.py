from sqlalchemy import text

from app.core.database.database import Database
from app.core.jobs import JobContext, resources_of, tasks

AUDIT_KEPT_DAYS = 400
DELETE_OLD_AUDIT_ENTRIES_SQL = text(
    f"delete from audit_log where created_at < now() - interval '{AUDIT_KEPT_DAYS} days'"  # noqa: S608
)


@tasks.periodic(cron="31 3 * * *")
@tasks.task(name="audit.tidy", pass_context=True, queueing_lock="audit.tidy", lock="audit.tidy")
async def delete_old_audit_entries_daily(context: JobContext, timestamp: int) -> None:
    del timestamp
    await delete_old_audit_entries(resources_of(context).database)


async def delete_old_audit_entries(database: Database) -> None:
    async with database.system() as tx:
        await tx.execute(DELETE_OLD_AUDIT_ENTRIES_SQL)
