"""The jobs of retention. One starts the daily run of each project with a policy, one executes a run."""

import asyncio
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import AppError
from app.core.jobs import JobContext, RetryWithBackoff, defer, resources_of, tasks
from app.core.resources import Resources
from app.retention.models import RetentionRun
from app.retention.policy import RetentionPolicy, load_policy
from app.retention.run import execute_run
from app.retention.runs import RetentionRunRepository

log = structlog.get_logger()
RETRYABLE = (AppError, OSError, SQLAlchemyError)
HOURS_BETWEEN_SCHEDULED_RUNS = 12
UNEXPECTED = "The run failed unexpectedly. See the server log. The next run goes on where it ended."
SELECT_PROJECTS_SQL = text("""
select id from projects where jsonb_array_length(settings #> '{retention,rules}') > 0
union select project_id from retention_runs where state in ('queued', 'running')
""")
DELETE_OLD_RUNS_SQL = text("""
delete from retention_runs where created_at < now() - interval '90 days' and state not in ('queued', 'running')
""")


async def queue_run(tx: AsyncSession, project_id: UUID, policy: RetentionPolicy, cause: str) -> RetentionRun:
    """The schedule queues a run that has not finished once more, in case its job is gone. The job of a run that has
    ended does nothing."""
    runs = RetentionRunRepository(tx, project_id)
    is_new = await runs.open(policy, cause)
    run = await runs.get_active()
    if is_new or cause == "schedule":
        await defer(tx, run_policy, lock=f"retention:{project_id}", project_id=str(project_id), run_id=str(run.id))
    return run


async def schedule_runs(resources: Resources) -> int:
    """Returns how many were queued. Another call within half a day queues none."""
    async with resources.database.system() as tx:
        await tx.execute(DELETE_OLD_RUNS_SQL)
        projects = list(await tx.scalars(SELECT_PROJECTS_SQL))
    return sum([await _schedule_run(resources, project_id) for project_id in projects])


async def _schedule_run(resources: Resources, project_id: UUID) -> bool:
    async with resources.database.transaction(project_id) as tx:
        if await RetentionRunRepository(tx, project_id).was_scheduled_within(HOURS_BETWEEN_SCHEDULED_RUNS):
            return False
        await queue_run(tx, project_id, await load_policy(tx, project_id), "schedule")
    return True


async def run_once(resources: Resources, project_id: UUID, run_id: UUID) -> None:
    """An error that another attempt may overcome is raised; any other ends the run."""
    reason: str | None = UNEXPECTED
    try:
        await execute_run(resources, project_id, run_id)
        reason = None
    except (*RETRYABLE, asyncio.CancelledError):
        reason = None
        raise
    finally:
        if reason is not None:
            log.error("retention.failed", run_id=str(run_id))
            async with resources.database.transaction(project_id) as tx:
                await RetentionRunRepository(tx, project_id).end(run_id, state="failed", error=reason)


@tasks.task(name="retention.run", pass_context=True, retry=RetryWithBackoff(*RETRYABLE))
async def run_policy(context: JobContext, project_id: str, run_id: str) -> None:
    await run_once(resources_of(context), UUID(project_id), UUID(run_id))


@tasks.periodic(cron="11 3 * * *")
@tasks.task(name="retention.schedule", pass_context=True, queueing_lock="retention.schedule", lock="retention.schedule")
async def schedule(context: JobContext, timestamp: int) -> None:
    """Deletes the record of runs after 90 days, too."""
    del timestamp
    await schedule_runs(resources_of(context))
