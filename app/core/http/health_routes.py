"""Liveness, readiness and metrics."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app.core.http.metrics_access import admit_status_request, metrics_response
from app.core.http.status_reports import NOT_READY, Readiness, status_reports
from app.core.http.strict_requests import own_router

router = own_router(tags=["Health"])


class Health(BaseModel):
    status: str = "ok"


@router.head("/v1/health", include_in_schema=False)
@router.get("/v1/health")
async def get_health() -> Health:
    """Reports that the process is alive. See `/v1/ready` for its dependencies."""
    return Health()


@router.head("/v1/ready", include_in_schema=False)
@router.get("/v1/ready", responses={503: {"model": Readiness}})
async def get_readiness(request: Request) -> JSONResponse:
    """Reports each dependency and each background task. The status is 503 while a required dependency is unavailable
    or background work is not being done."""
    await admit_status_request(request)
    readiness = await status_reports(request).readiness.get()
    return JSONResponse(readiness.model_dump(), 503 if readiness.status == NOT_READY else 200)


@router.get("/metrics", response_class=Response)
async def get_metrics(request: Request) -> Response:
    """Returns metrics in the format of Prometheus. Labels are route templates and fixed words.

    With `METRICS_TOKEN`, send it as a bearer token. With `METRICS_ADDRESS`, metrics are served there only."""
    return await metrics_response(request)
