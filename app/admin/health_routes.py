"""/v1/admin/health: the state of each dependency, for applications that hold a credential."""

from fastapi import Request
from pydantic import Field

from app.core.http.status_reports import Readiness, status_reports
from app.core.http.strict_requests import own_router
from app.identity.caller import ProjectReader
from app.version import VERSION

router = own_router(prefix="/v1/admin/health", tags=["Administration"])


class AdminHealth(Readiness):
    status: str = Field(description="`ready`, `degraded` while an optional dependency is away, or `not ready`.")
    version: str


@router.get("")
async def get_admin_health(request: Request, _: ProjectReader) -> AdminHealth:
    """Reports each dependency and each background task, as `/v1/ready` does, and the version. The status is 200 even
    while a dependency is unavailable: read `status`."""
    readiness = await status_reports(request).readiness.get()
    return AdminHealth(**readiness.model_dump(), version=VERSION)
