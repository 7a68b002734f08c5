"""The memory engine's work in the background."""

from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import AppError, ExtractionFailed
from app.core.jobs import JobContext, TryAgain, resources_of, tasks
from app.memory.extract import run_extraction
from app.memory.sweep import remove_orphans, sweep

LEFT_BEHIND_SECONDS = 30
AGAIN = TryAgain(ExtractionFailed, AppError, OSError, SQLAlchemyError)


@tasks.task(name="memory.extract", pass_context=True, retry=AGAIN)
async def extract(context: JobContext, project_id: str, event_id: str) -> None:
    await run_extraction(resources_of(context), UUID(project_id), UUID(event_id), context.job.attempts)


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
