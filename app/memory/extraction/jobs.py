from uuid import UUID

from app.core.jobs import JobContext, resources_of, tasks
from app.memory.extraction.extract import run_extraction
from app.memory.ledger.run_event import RETRY


@tasks.task(name="memory.extract", pass_context=True, retry=RETRY)
async def extract(context: JobContext, project_id: str, event_id: str) -> None:
    await run_extraction(resources_of(context), UUID(project_id), UUID(event_id), context.job.attempts)
