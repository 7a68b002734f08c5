"""Whether the house is alive and ready, what its figures are, and a plain welcome."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy import text

from app.core.observability.metrics import ACTIVE_USERS, JOBS_WAITING, POOL_IN_USE, POOL_SIZE, REGISTRY
from app.core.resources import Resources, ResourcesDep

router = APIRouter(tags=["health"])
JOBS_BY_STATUS = text("""
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


class Readiness(BaseModel):
    status: str
    checks: dict[str, str]


@router.get("/")
async def welcome() -> Welcome:
    return Welcome()


@router.get("/v1/health")
async def health() -> Health:
    """The process is alive. Says nothing of what it depends on: see /v1/ready."""
    return Health()


@router.get("/v1/ready", responses={503: {"model": Readiness}})
async def ready(resources: ResourcesDep) -> JSONResponse:
    """Each dependency by name. 503 while one that requests cannot do without is away."""
    checks = {name: ("ok" if await check() else "away") for name, check in resources.checks.items()}
    broken = any(checks[name] != "ok" for name in resources.essential)
    state = "not ready" if broken else "ready" if all(value == "ok" for value in checks.values()) else "degraded"
    return JSONResponse(Readiness(status=state, checks=checks).model_dump(), 503 if broken else 200)


@router.get("/metrics", response_class=Response)
async def metrics(resources: ResourcesDep) -> Response:
    """In the format of Prometheus. Figures and route templates only."""
    await observe(resources)
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


async def observe(resources: Resources) -> None:
    size, in_use = resources.database.pool_state()
    POOL_SIZE.set(size)
    POOL_IN_USE.set(in_use)
    ACTIVE_USERS.set(resources.presence.count())
    async with resources.database.system() as tx:
        for status, count in await tx.execute(JOBS_BY_STATUS):
            JOBS_WAITING.labels(status).set(count)
    for look in resources.gauges:
        await look()
