"""Run background jobs with the same resources as the web server: inside its process, or in processes of their own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import procrastinate
import structlog
from procrastinate.exceptions import ConnectorException

from app.core.jobs import open_queue, rescue_stalled
from app.core.resources import Resources
from app.memory.sweep import sweep

log = structlog.get_logger()
RESCUE_EVERY_SECONDS = 15


@asynccontextmanager
async def run_jobs(resources: Resources, *, concurrency: int) -> AsyncIterator[asyncio.Task[None]]:
    """Works until the block ends; then running jobs get a moment, and what is left goes back into the queue."""
    async with open_queue(resources.database.url, pool_size=concurrency + 2) as app:
        await sweep(resources, older_than_seconds=0)
        working = asyncio.create_task(_work(app, resources, concurrency))
        rescuing = asyncio.create_task(_rescue(app))
        try:
            yield working
        finally:
            for task in (rescuing, working):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def _work(app: procrastinate.App, resources: Resources, concurrency: int) -> None:
    await app.run_worker_async(
        concurrency=concurrency,
        install_signal_handlers=False,
        fetch_job_polling_interval=5,
        delete_jobs="successful",
        shutdown_graceful_timeout=5,
        additional_context={"resources": resources},
    )


async def _rescue(app: procrastinate.App) -> None:
    while True:
        try:
            if count := await rescue_stalled(app):
                log.warning("jobs.rescued", count=count)
        except ConnectorException as error:
            log.warning("jobs.rescue_failed", exc_info=error)
        await asyncio.sleep(RESCUE_EVERY_SECONDS)
