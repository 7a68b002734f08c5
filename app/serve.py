"""Run the web server until it is asked to stop, then stop everything that was started."""

import asyncio
import gc
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import structlog
import uvicorn

from app.banner import print_banner
from app.core.background_tasks import run_supervised
from app.core.http.connection_limits import ConnectionLimits, ConnectionRules, raise_open_files
from app.core.http.http_protocol import limited_protocol
from app.core.http.metrics_access import create_metrics_app, serve_metrics
from app.listener import bind_metrics_socket
from app.main import create_app
from app.settings import Settings
from app.wiring import open_resources
from app.worker import run_jobs

log = structlog.get_logger()
GRACE_SECONDS = 10
# Python's default is 700, but one response creates and drops thousands of objects.
OBJECTS_PER_COLLECTION = 10_000


class Server(uvicorn.Server):
    """uvicorn raises the signal again after it has stopped, which would end the process before the database is."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def serve(settings: Settings, listener: socket.socket) -> None:
    async with AsyncExitStack() as stack:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        metrics = stack.enter_context(bind_metrics_socket(address)) if (address := settings.metrics_address) else None
        resources = await stack.enter_async_context(open_resources(settings, alone=True))
        app = create_app(resources)
        rules = ConnectionRules(connections=raise_open_files())
        connections = ConnectionLimits(rules, settings.trusted_proxies)
        config = uvicorn.Config(
            app,
            http=limited_protocol(connections),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=GRACE_SECONDS,
            lifespan="off",
        )
        if settings.worker:
            jobs = run_jobs(resources, concurrency=settings.worker_concurrency, inspects_index=True)
            await stack.enter_async_context(jobs)
        if metrics:
            await stack.enter_async_context(serve_metrics(create_metrics_app(app.state.status_reports), metrics))
        await stack.enter_async_context(run_supervised(resources.supervised_tasks, connections.task))
        freeze_startup_objects()
        log.info("serving", address=settings.base_url, data_dir=str(settings.data_dir.resolve()))
        print_banner(settings)
        await Server(config).serve([listener])
    log.info("stopped")


def freeze_startup_objects() -> None:
    """A full collection that includes everything loaded at the start blocks all requests for an eighth of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_PER_COLLECTION, 20, 20)


async def work_forever(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        open_resources(settings) as resources,
        run_jobs(resources, concurrency=settings.worker_concurrency, inspects_index=True),
    ):
        log.info("working", data_dir=str(settings.data_dir.resolve()))
        await stop.wait()
    log.info("stopped")
