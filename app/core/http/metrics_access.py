"""Who may read the metrics, how often, and at which address."""

import asyncio
import hmac
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

from app.core.errors import Unauthorized
from app.core.http import error_responses
from app.core.http.status_reports import METRICS_MEDIA_TYPE, StatusReports, status_reports
from app.core.rate_limit import client_address

WRONG_TOKEN = "Metrics require the token of METRICS_TOKEN. Send it as `Authorization: Bearer <token>`."  # noqa: S105
MAX_METRICS_CONNECTIONS = 16


async def admit_status_request(request: Request) -> None:
    await status_reports(request).limit.admit(client_address(request))


async def metrics_response(request: Request) -> Response:
    await admit_status_request(request)
    reports = status_reports(request)
    if reports.resources.config.metrics_apart and not hasattr(request.app.state, "serves_metrics"):
        raise HTTPException(404)
    check_metrics_token(request, reports.resources.metrics_token)
    return Response(await reports.metrics.get(), media_type=METRICS_MEDIA_TYPE)


def check_metrics_token(request: Request, token: str | None) -> None:
    sent = request.headers.get("Authorization", "").partition(" ")[2].strip()
    if token and not hmac.compare_digest(sent.encode(), token.encode()):
        raise Unauthorized(WRONG_TOKEN)


def create_metrics_app(reports: StatusReports) -> FastAPI:
    """An app with nothing but the metrics, for METRICS_ADDRESS."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.status_reports = reports
    app.state.serves_metrics = True
    error_responses.install(app)
    app.add_api_route("/metrics", metrics_response, response_class=Response)
    return app


class MetricsServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals end the main server, which then ends this one."""
        yield


@asynccontextmanager
async def serve_metrics(app: FastAPI, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=MAX_METRICS_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    server = MetricsServer(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
