"""The memory engine's work in the background."""

from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import AppError, ExtractionFailed
from app.core.jobs import JobContext, TryAgain, resources_of, tasks
from app.memory.extraction.extract import run_extraction

AGAIN = TryAgain(ExtractionFailed, AppError, OSError, SQLAlchemyError)


@tasks.task(name="memory.extract", pass_context=True, retry=AGAIN)
async def extract(context: JobContext, project_id: str, event_id: str) -> None:
    await run_extraction(resources_of(context), UUID(project_id), UUID(event_id), context.job.attempts)
