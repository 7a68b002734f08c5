"""Readiness and metrics. Each is produced once for all who ask at the same time, and kept for a moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Generic, TypeVar

import structlog
from fastapi import Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.background_tasks import Background, SupervisedTask, TaskState
from app.core.observability.metrics import (
    ACTIVE_USERS,
    DISK_FREE,
    DISK_RESERVE,
    JOBS_WAITING,
    POOL_IN_USE,
    POOL_SIZE,
    REGISTRY,
)
from app.core.rate_limit import StatusLimit
from app.core.resources import Check, Resources

T = TypeVar("T")
log = structlog.get_logger()
METRICS_MEDIA_TYPE = CONTENT_TYPE_LATEST
NOT_READY = "not ready"
KEPT_SECONDS = 0.5
CHECK_TIMEOUT_SECONDS = 1.0
COUNT_JOBS_BY_STATUS_SQL = text("""
select status.name, count(j.id) from unnest(array['todo', 'doing', 'failed']) as status (name)
left join jobs.procrastinate_jobs j on j.status::text = status.name group by status.name
""")


class TaskReport(BaseModel):
    state: TaskState
    silent_seconds: float
    """The age of its last sign of life."""
    restarts: int


class Readiness(BaseModel):
    status: str
    checks: dict[str, str]
    tasks: dict[str, TaskReport]


class SharedReport(Generic[T]):
    """The result of `produce`, which runs in the background, so that it ends although a client leaves."""

    def __init__(
        self,
        background: Background,
        produce: Callable[[], Coroutine[object, object, T]],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._background = background
        self._produce = produce
        self._clock = clock
        self._run: asyncio.Task[T] | None = None
        self._started_at = 0.0

    async def get(self) -> T:
        run = self._run
        if run is None or (run.done() and self._clock() - self._started_at >= KEPT_SECONDS):
            self._started_at = self._clock()
            run = self._run = self._background.start(self._produce())
        return await asyncio.shield(run)


class StatusReports:
    def __init__(self, resources: Resources, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.resources = resources
        self.limit = StatusLimit()
        self.readiness = SharedReport(resources.background, self._readiness, clock=clock)
        self.metrics = SharedReport(resources.background, self._metrics, clock=clock)

    async def _readiness(self) -> Readiness:
        checks = await run_checks(self.resources)
        tasks = {task.name: report_task(task) for task in self.resources.supervised_tasks}
        not_ready = any(checks[name] != "ok" for name in self.resources.essential) or any(
            task.state is not TaskState.RUNNING for task in tasks.values()
        )
        state = NOT_READY if not_ready else "ready" if all(value == "ok" for value in checks.values()) else "degraded"
        return Readiness(status=state, checks=checks, tasks=tasks)

    async def _metrics(self) -> bytes:
        await update_gauges(self.resources)
        return generate_latest(REGISTRY)


def status_reports(request: Request) -> StatusReports:
    reports: StatusReports = request.app.state.status_reports
    return reports


async def run_checks(resources: Resources) -> dict[str, str]:
    """A check that hangs counts as failed. It goes on in the background, and later requests wait for the same run."""
    runs = {name: start_check(resources, check) for name, check in resources.checks.items()}
    await asyncio.wait(runs.values(), timeout=CHECK_TIMEOUT_SECONDS)
    return {name: "ok" if run.done() and has_passed(run) else "unavailable" for name, run in runs.items()}


def start_check(resources: Resources, check: Check) -> "asyncio.Task[bool]":
    running = resources.running_checks
    if check not in running:
        running[check] = resources.background.start(check())
        running[check].add_done_callback(lambda run: (running.pop(check), has_passed(run)))
    return running[check]


def has_passed(run: "asyncio.Task[bool]") -> bool:
    """Looks at the error of every run, so that asyncio does not report it as never retrieved."""
    if run.cancelled():
        return False
    if error := run.exception():
        log.warning("readiness.check_failed", exc_info=error)
        return False
    return run.result()


def report_task(task: SupervisedTask) -> TaskReport:
    return TaskReport(state=task.state(), silent_seconds=round(task.seconds_since_beat(), 1), restarts=task.restarts)


async def update_gauges(resources: Resources) -> None:
    size, in_use = resources.database.pool_state()
    POOL_SIZE.set(size)
    POOL_IN_USE.set(in_use)
    ACTIVE_USERS.set(resources.active_users.count())
    DISK_FREE.set(resources.disk_space.free_bytes())
    DISK_RESERVE.set(resources.disk_space.reserve_bytes())
    for update_gauge in (lambda: count_jobs(resources), *resources.gauges):
        await update_in_time(update_gauge)


async def update_in_time(update_gauge: Callable[[], Awaitable[object]]) -> None:
    """A gauge that cannot be updated keeps its value, so that the other metrics stay visible in an incident."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            await update_gauge()
    except (SQLAlchemyError, TimeoutError) as error:
        log.warning("metrics.gauge_not_updated", exc_info=error)


async def count_jobs(resources: Resources) -> None:
    async with resources.database.system() as tx:
        for status, count in await tx.execute(COUNT_JOBS_BY_STATUS_SQL):
            JOBS_WAITING.labels(status).set(count)
