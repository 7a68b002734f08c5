"""Liveness, readiness, metrics and the welcome page of the API."""

import asyncio

import structlog
from fastapi import Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy import text

from app.core.background_tasks import SupervisedTask, TaskState
from app.core.http.strict_requests import own_router
from app.core.observability.metrics import (
    ACTIVE_USERS,
    DISK_FREE,
    DISK_RESERVE,
    JOBS_WAITING,
    POOL_IN_USE,
    POOL_SIZE,
    REGISTRY,
)
from app.core.resources import Check, Resources, ResourcesDep

log = structlog.get_logger()
CHECK_TIMEOUT_SECONDS = 1.0
router = own_router(tags=["Health"])
COUNT_JOBS_BY_STATUS_SQL = text("""
select status.name, count(j.id) from unnest(array['todo', 'doing', 'failed']) as status (name)
left join jobs.procrastinate_jobs j on j.status::text = status.name group by status.name
""")


class Welcome(BaseModel):
    name: str = "Keepsake"
    what: str = "Memory for AI applications: it remembers what people tell their assistants, and knows when not to"
    docs: str = "/docs"
    sign_up: str = "POST /v1/auth/signup"
    health: str = "/v1/health"


class Health(BaseModel):
    status: str = "ok"


class TaskReport(BaseModel):
    state: TaskState
    silent_seconds: float
    """The age of its last sign of life."""
    restarts: int


class Readiness(BaseModel):
    status: str
    checks: dict[str, str]
    tasks: dict[str, TaskReport]


@router.head("/", include_in_schema=False)
@router.get("/")
async def get_welcome() -> Welcome:
    """Names the product and its first steps."""
    return Welcome()


@router.head("/v1/health", include_in_schema=False)
@router.get("/v1/health")
async def get_health() -> Health:
    """Reports that the process is alive. See `/v1/ready` for its dependencies."""
    return Health()


@router.head("/v1/ready", include_in_schema=False)
@router.get("/v1/ready", responses={503: {"model": Readiness}})
async def get_readiness(resources: ResourcesDep) -> JSONResponse:
    """Reports each dependency and each background task. The status is 503 while a required dependency is unavailable
    or background work is not being done."""
    checks = await run_checks(resources)
    tasks = {task.name: report_task(task) for task in resources.supervised_tasks}
    not_ready = any(checks[name] != "ok" for name in resources.essential) or any(
        task.state is not TaskState.RUNNING for task in tasks.values()
    )
    state = "not ready" if not_ready else "ready" if all(value == "ok" for value in checks.values()) else "degraded"
    readiness = Readiness(status=state, checks=checks, tasks=tasks)
    return JSONResponse(readiness.model_dump(), 503 if not_ready else 200)


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


@router.get("/metrics", response_class=Response)
async def get_metrics(resources: ResourcesDep) -> Response:
    """Returns metrics in the format of Prometheus. Labels are route templates and fixed words."""
    await update_gauges(resources)
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


async def update_gauges(resources: Resources) -> None:
    size, in_use = resources.database.pool_state()
    POOL_SIZE.set(size)
    POOL_IN_USE.set(in_use)
    ACTIVE_USERS.set(resources.active_users.count())
    DISK_FREE.set(resources.disk_space.free_bytes())
    DISK_RESERVE.set(resources.disk_space.reserve_bytes())
    async with resources.database.system() as tx:
        for status, count in await tx.execute(COUNT_JOBS_BY_STATUS_SQL):
            JOBS_WAITING.labels(status).set(count)
    for update_gauge in resources.gauges:
        await update_gauge()
