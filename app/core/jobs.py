"""Background jobs. A job is written in the caller's transaction, so it exists if and only if the data does."""

import asyncio
import json
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from uuid import UUID

import procrastinate
import procrastinate.worker
import psycopg
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.tasks import Task
from psycopg_pool import PoolTimeout
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import TextStatement
from app.core.errors import Postponed
from app.core.observability.metrics import JOBS
from app.core.resources import Resources

# Never opened. It registers tasks; jobs are written on the connection of the caller's transaction.
tasks = procrastinate.App(connector=procrastinate.PsycopgConnector())
JobContext = procrastinate.JobContext
STALLED_SECONDS = 30
LONGEST_TRIAL_SECONDS = 300.0
CONNECTION_TIMEOUT_SECONDS = 10
RECONNECT_SECONDS = 5
"""The pool pauses longer and longer between its attempts. After this time it begins anew when it is asked next."""
QUEUE_CONNECTIONS = "keepsake jobs"
"""The application name of the queue's connections in `pg_stat_activity`."""
DEFER_JOB_SQL = text("""
select jobs.procrastinate_defer_jobs_v1(array[row(cast(:queue as varchar), cast(:task as varchar),
  cast(:priority as integer), cast(:lock as text), null, cast(:arguments as jsonb),
  now() + make_interval(secs => cast(:seconds as double precision)))::jobs.procrastinate_job_to_defer_v1])
""")

# procrastinate's own statement compares every waiting job with every other one. This one finds the jobs with the same
# lock by an index of ours (see `migrations.py`).
FETCH_JOB_SQL: LiteralString = """
with candidate as (
  select job.id from procrastinate_jobs job
  where job.status = 'todo' and job.queue_name = any(%(queues)s::varchar[])
    and (job.scheduled_at is null or job.scheduled_at <= now()) and job.task_name <> all(%(paused)s::varchar[])
    and (job.lock is null or not exists (
      select from procrastinate_jobs other
      where other.lock = job.lock and other.status in ('todo', 'doing')
        and (other.status = 'doing' or (-other.priority, other.id) < (-job.priority, job.id))))
  order by job.priority desc, job.id limit 1 for update of job skip locked
)
update procrastinate_jobs job set status = 'doing', worker_id = %(worker_id)s from candidate
where job.id = candidate.id
returning job.id, job.status, job.task_name, job.priority, job.lock, job.queueing_lock, job.args, job.scheduled_at,
  job.queue_name, job.attempts, job.worker_id
"""
CHANNEL_OF_QUEUE = "procrastinate_queue_v1#"


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


async def defer_for_each_project(
    context: JobContext, select_project_ids: TextClause, defer_for: Callable[[AsyncSession, UUID], Awaitable[None]]
) -> None:
    """A job for each project, so that one with much work does not hold up the others."""
    async with resources_of(context).database.system() as tx:
        for project_id in list(await tx.scalars(select_project_ids)):
            await defer_for(tx, project_id)


class TaskPauses:
    """Tasks whose jobs were postponed: none is fetched until the pause is over. Then one goes first, and the others
    follow once it has ended without being postponed again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}

    def names(self) -> list[str]:
        return [task for task, end in self._ends.items() if end > self._clock()]

    def started(self, task: str) -> None:
        """The first job after a pause. If it does not end, for example because its worker does, another one follows."""
        if task in self._ends:
            self._ends[task] = self._clock() + LONGEST_TRIAL_SECONDS

    def ended(self, task: str) -> None:
        self._ends.pop(task, None)

    def postponed(self, task: str, seconds: float) -> None:
        self._ends[task] = self._clock() + seconds

    def is_paused(self, task: str) -> bool:
        return task in self._ends


class QueueConnector(procrastinate.PsycopgConnector):
    """Fetches jobs with a statement of our own, wakes the worker when a lock becomes free, reports every answer to a
    worker that asked for a job, and repeats what a lost connection interrupted."""

    def __init__(self, **pool: Any) -> None:
        super().__init__(**pool)
        self.on_fetch: dict[str, Callable[[], None]] = {}
        self._listeners: dict[str, Notify] = {}
        self._queues_of_locked_jobs: dict[int, str] = {}
        self.pauses = TaskPauses()
        self._news = 0
        """Counts new jobs and free locks. A worker forgets those that it hears of while it fetches."""

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        if arguments.keys() == {"queues", "worker_id"}:
            return await self._fetch_job(**arguments)
        row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
        return row

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """A job whose end is not recorded would hold its lock as long as its worker lives."""
        try:
            await super().execute_query_async(query, **arguments)
        except ConnectorException as error:
            cause = error.__cause__
            if isinstance(cause, PoolTimeout) or not isinstance(cause, psycopg.OperationalError):
                raise
            await super().execute_query_async(query, **arguments)
        if queue := self._queues_of_locked_jobs.pop(arguments.get("job_id", 0), None):
            await self._wake(queue, arguments["job_id"])

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        async def count_and_pass_on(*, channel: str, payload: str) -> None:
            self._news += 1
            await on_notification(channel=channel, payload=payload)

        names = list(channels)
        self._listeners |= dict.fromkeys(names, on_notification)
        await super().listen_notify(count_and_pass_on, names)

    async def _fetch_job(self, queues: Sequence[str], worker_id: int) -> dict[str, Any]:
        while True:
            known = self._news
            rows: list[dict[str, Any]] = await self.execute_query_all_async(
                FETCH_JOB_SQL, queues=list(queues), worker_id=worker_id, paused=self.pauses.names()
            )
            for queue in queues:
                if on_fetch := self.on_fetch.get(queue):
                    on_fetch()
            for row in rows:
                self.pauses.started(row["task_name"])
                if row["lock"]:
                    self._queues_of_locked_jobs[row["id"]] = row["queue_name"]
                return row
            if known == self._news:
                return {"id": None}

    async def _wake(self, queue: str, job_id: int) -> None:
        """The job that waits for the lock can start now, and Postgres notifies workers of new jobs only."""
        self._news += 1
        if listener := self._listeners.get(f"{CHANNEL_OF_QUEUE}{queue}"):
            payload = json.dumps({"type": "job_inserted", "job_id": job_id})
            await listener(channel=f"{CHANNEL_OF_QUEUE}{queue}", payload=payload)


def observe_fetches(queue: procrastinate.App, queue_name: str, on_fetch: Callable[[], None]) -> None:
    """Call `on_fetch` whenever Postgres answers a worker of that queue that asks for a job."""
    assert isinstance(queue.connector, QueueConnector)
    queue.connector.on_fetch[queue_name] = on_fetch


def pauses_of(queue: procrastinate.App) -> TaskPauses:
    assert isinstance(queue.connector, QueueConnector)
    return queue.connector.pauses


@asynccontextmanager
async def open_queue(url: str, *, pool_size: int) -> AsyncIterator[procrastinate.App]:
    """The queue for a worker, with all tasks and its own connections.

    Uses `replace_connector`, because `with_connector` would leave periodic tasks on the connector that is never opened.
    """
    connector = QueueConnector(
        conninfo=url.replace("postgresql+psycopg://", "postgresql://", 1),
        min_size=1,
        max_size=pool_size,
        timeout=CONNECTION_TIMEOUT_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        kwargs={
            "options": "-c role=keepsake_system -c search_path=jobs",
            "application_name": QUEUE_CONNECTIONS,
        },
    )
    with tasks.replace_connector(connector) as app:
        async with app.open_async():
            yield app


async def count_outcome(
    call_next: Callable[[], Awaitable[object]], context: JobContext, _: procrastinate.worker.Worker
) -> object:
    """Counts every run of a job for /metrics and for the usage of its project. A run that failed and will be repeated
    counts as failed."""
    outcome = "failed"
    try:
        result = await call_next()
        outcome = "succeeded"
        return result
    except Postponed:
        outcome = "postponed"
        raise
    finally:
        JOBS.labels(context.job.task_name, outcome).inc()
        project_id = context.job.task_kwargs.get("project_id")
        if project_id and outcome != "postponed":
            resources_of(context).usage.count_job(UUID(str(project_id)), failed=outcome == "failed")


def resources_of(context: JobContext) -> Resources:
    resources = context.additional_context["resources"]
    assert isinstance(resources, Resources)
    return resources


class RetryWithBackoff(procrastinate.BaseRetryStrategy):
    """Exponential backoff with jitter, at least as long as the error's own `retry_after`.

    A job that is cancelled because its worker stops is queued again at once. procrastinate would give it up.
    """

    def __init__(self, *errors: type[Exception], initial_seconds: float = 2, max_seconds: float = 3600) -> None:
        self._errors = errors
        self._initial_seconds = initial_seconds
        self._max_seconds = max_seconds

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> procrastinate.RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):
            return procrastinate.RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, Postponed):
            return procrastinate.RetryDecision(retry_in={"seconds": max(1, math.ceil(exception.seconds))})
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
