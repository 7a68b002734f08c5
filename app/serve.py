"""Run the web server until it is asked to stop, then stop everything that was started."""

import asyncio
import gc
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager

import structlog
import uvicorn

from app.core.errors import ConfigurationError
from app.main import create_app
from app.settings import Settings
from app.wiring import open_resources
from app.worker import run_jobs

log = structlog.get_logger()
GRACE_SECONDS = 10
YOUNG = 10_000
"""Objects made before the youngest are looked through, instead of 700: an answer makes thousands and drops them."""


class Server(uvicorn.Server):
    """uvicorn raises the signal again once it has stopped, which would end us before the database is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def open_door(settings: Settings) -> socket.socket:
    """Before anything is started, so that a taken port costs nothing."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        # Saying TCP matters: asyncio turns Nagle's algorithm off only then, and with it each answer is 40 ms late.
        with ExitStack() as unless_it_opens:
            door = unless_it_opens.enter_context(socket.socket(family, kind, socket.IPPROTO_TCP))
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)
            door.listen(2048)
            unless_it_opens.pop_all()
            return door
    except OSError as error:
        raise ConfigurationError(
            f"HOST and PORT ({settings.host}:{settings.port}) cannot be listened on ({error.strerror}): set them to an"
            " address of this machine that is free"
        ) from None


async def serve(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        door = stack.enter_context(open_door(settings))
        settings = settings.model_copy(update={"port": door.getsockname()[1]})
        resources = await stack.enter_async_context(open_resources(settings, alone=True))
        config = uvicorn.Config(
            create_app(resources),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=GRACE_SECONDS,
            lifespan="off",
        )
        if settings.worker:
            jobs = run_jobs(resources, concurrency=settings.worker_concurrency)
            await stack.enter_async_context(jobs)
        set_aside_what_stays()
        log.info("serving", address=settings.base_url, data_dir=str(settings.data_dir.resolve()))
        await Server(config).serve([door])
    log.info("stopped")


def set_aside_what_stays() -> None:
    """Python looks for garbage among everything that lives: with what was loaded at the start among it, an eighth of a
    second in which nobody is answered."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)


async def work_forever(settings: Settings) -> None:
    """Until asked to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_resources(settings) as resources, run_jobs(resources, concurrency=settings.worker_concurrency):
        log.info("working", data_dir=str(settings.data_dir.resolve()))
        await stop.wait()
    log.info("stopped")
