from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import AppError, Conflict
from app.core.jobs import JobContext, RetryWithBackoff, resources_of, tasks
from app.core.resources import Resources
from app.erasure.repository import ErasureRepository
from app.erasure.run import run_erasure, settle_erasure, vacuum_after_erasure

MAX_BACKOFF_SECONDS = 600


@tasks.task(
    name="erasure.complete",
    pass_context=True,
    retry=RetryWithBackoff(AppError, OSError, SQLAlchemyError, max_seconds=MAX_BACKOFF_SECONDS),
)
async def complete(context: JobContext, project_id: str, erasure_id: str) -> None:
    await complete_erasure(resources_of(context), UUID(project_id), UUID(erasure_id))


async def complete_erasure(resources: Resources, project_id: UUID, erasure_id: UUID) -> None:
    """Whatever the request has left: all of it after a crash, usually only the last look and the vacuum."""
    async with resources.database.transaction(project_id) as tx:
        erasure = await ErasureRepository(tx, project_id).get(erasure_id)
    if erasure.settled_at is None:
        if not await run_erasure(resources, project_id, erasure_id):
            raise Conflict("Another process works on this erasure.")
        await settle_erasure(resources, project_id, erasure_id)
    if erasure.vacuumed_at is None:
        await vacuum_after_erasure(resources, project_id, erasure_id)
