from uuid import UUID

from app.chat.summary.summarize import summarize_session
from app.core.errors import AppError, Postponed, Unavailable
from app.core.jobs import JobContext, RetryWithBackoff, resources_of, tasks


@tasks.task(name="chat.summarize", pass_context=True, retry=RetryWithBackoff(Unavailable))
async def summarize(context: JobContext, project_id: str, session_id: str) -> None:
    try:
        await summarize_session(resources_of(context), UUID(project_id), UUID(session_id))
    except AppError as error:
        if error.is_outage:
            raise Postponed.until_back(error) from error
        raise
