from uuid import UUID

from sqlalchemy import text

from app.core.jobs import JobContext, RetryWithBackoff, resources_of, tasks
from app.portability.exports.write_chunks import RETRYABLE, run_export

DELETE_EXPIRED_EXPORTS_SQL = text("delete from data_exports where expires_at < now()")


@tasks.task(name="data_exports.write", pass_context=True, retry=RetryWithBackoff(*RETRYABLE, max_seconds=60))
async def write_export(context: JobContext, project_id: str, export_id: str) -> None:
    await run_export(resources_of(context), UUID(project_id), UUID(export_id), context.job.attempts)


@tasks.periodic(cron="*/10 * * * *")
@tasks.task(name="data_exports.tidy", pass_context=True, queueing_lock="data_exports.tidy", lock="data_exports.tidy")
async def delete_expired_exports(context: JobContext, timestamp: int) -> None:
    del timestamp
    async with resources_of(context).database.system() as tx:
        await tx.execute(DELETE_EXPIRED_EXPORTS_SQL)
