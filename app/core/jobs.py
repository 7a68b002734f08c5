"""Background jobs. A job is written in the caller's transaction, so it exists if and only if the data does."""

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import procrastinate
import procrastinate.worker
import psycopg
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.tasks import Task
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import TextStatement
from app.core.observability.metrics import JOBS
from app.core.resources import Resources

# Never opened. It registers tasks; jobs are written on the connection of the caller's transaction.
tasks = procrastinate.App(connector=procrastinate.PsycopgConnector())
JobContext = procrastinate.JobContext
STALLED_SECONDS = 30
DEFER_JOB_SQL = text("""
select jobs.procrastinate_defer_jobs_v1(array[row(cast(:queue as varchar), cast(:task as varchar),
  cast(:priority as integer), cast(:lock as text), null, cast(:arguments as jsonb),
  now() + make_interval(secs => cast(:seconds as double precision)))::jobs.procrastinate_job_to_defer_v1])
""")


def defer_statement(
    task: Task[Any, Any, Any], *, lock: str | None = None, in_seconds: float = 0, **arguments: Any
) -> TextStatement:
    """A statement that queues a job. Jobs with the same lock run one at a time, in order. Arguments are ids only."""
    values = {"queue": task.queue, "task": task.name, "priority": task.priority, "lock": lock}
    return DEFER_JOB_SQL, {**values, "arguments": json.dumps(arguments), "seconds": in_seconds or None}


async def defer(
    tx: AsyncSession, task: Task[Any, Any, Any], *, lock: str | None = None, in_seconds: float = 0, **arguments: Any
) -> None:
    await tx.execute(*defer_statement(task, lock=lock, in_seconds=in_seconds, **arguments))


@asynccontextmanager
async def open_queue(url: str, *, pool_size: int) -> AsyncIterator[procrastinate.App]:
    """The queue for a worker, with all tasks and its own connections.

    Uses `replace_connector`, because `with_connector` would leave periodic tasks on the connector that is never opened.
    """
    connector = procrastinate.PsycopgConnector(
        conninfo=url.replace("postgresql+psycopg://", "postgresql://", 1),
        min_size=1,
        max_size=pool_size,
        kwargs={"options": "-c role=keepsake_system -c search_path=jobs"},
    )
    with tasks.replace_connector(connector) as app:
        async with app.open_async():
            yield app


async def count_outcome(
    call_next: Callable[[], Awaitable[object]], context: JobContext, _: procrastinate.worker.Worker
) -> object:
    """Counts every run of a job for /metrics. A run that will be retried counts as failed."""
    outcome = "failed"
    try:
        result = await call_next()
        outcome = "succeeded"
        return result
    finally:
        JOBS.labels(context.job.task_name, outcome).inc()


def resources_of(context: JobContext) -> Resources:
    resources = context.additional_context["resources"]
    assert isinstance(resources, Resources)
    return resources


class RetryWithBackoff(procrastinate.BaseRetryStrategy):
    """Exponential backoff with jitter, at least as long as the error's own `retry_after`."""

    def __init__(self, *errors: type[Exception], initial_seconds: float = 2, max_seconds: float = 3600) -> None:
        self._errors = errors
        self._initial_seconds = initial_seconds
        self._max_seconds = max_seconds

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> procrastinate.RetryDecision | None:
        if not isinstance(exception, self._errors):
            return None
        requested: float = getattr(exception, "retry_after", None) or 0
        backoff = min(self._max_seconds, self._initial_seconds * 2**job.attempts) * random.uniform(0.8, 1.2)  # noqa: S311
        return procrastinate.RetryDecision(retry_in={"seconds": max(1, round(max(requested, backoff)))})


async def requeue_stalled(app: procrastinate.App) -> int:
    """Queue jobs again whose worker died while it ran them. Returns how many.

    Each job is handled in a transaction of its own, so that one that cannot be queued does not stop the others.
    """
    stalled = list(await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS))
    return sum([await requeue_job(app, job) for job in stalled])


async def requeue_job(app: procrastinate.App, job: Job) -> bool:
    """Queue the job again, or delete it if another job with its queueing lock is waiting, which does the same."""
    try:
        try:
            await app.job_manager.retry_job(job)
        except UniqueViolation:
            await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
    except ConnectorException as error:
        # The job is gone if its worker was only slow and has finished it. A lost connection concerns every job.
        if isinstance(error.__cause__, psycopg.errors.RaiseException):
            return False
        raise
    return True
