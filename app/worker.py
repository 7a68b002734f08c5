"""Run background jobs with the same resources as the web server: inside its process, or in processes of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import procrastinate
import structlog
from procrastinate.exceptions import ConnectorException

from app.core.background_tasks import stop_task
from app.core.jobs import count_outcome, open_queue, requeue_stalled
from app.core.resources import Resources
from app.gateways.mem0.jobs import delete_old_exports
from app.memory.categories.jobs import categorize_left_behind, categorize_project
from app.memory.indexing import sweep
from app.memory.indexing.jobs import reindex, remove_orphans_daily, sweep_every_minute
from app.memory.ledger.jobs import delete_old_events_daily
from app.memory.user_profiles.jobs import refresh_periodically
from app.webhooks.deliver import QUEUE
from app.webhooks.jobs import delete_old_deliveries

log = structlog.get_logger()
DEFERRED_ELSEWHERE = (
    categorize_left_behind,
    categorize_project,
    sweep_every_minute,
    remove_orphans_daily,
    reindex,
    delete_old_events_daily,
    refresh_periodically,
    delete_old_deliveries,
    delete_old_exports,
)
"""Known to the queue because they are imported: nobody here defers them."""
RESCUE_EVERY_SECONDS = 15
LOOK_EVERY_SECONDS = 5.0
SWEEP_FIRST_SECONDS = 5.0
WEBHOOKS_AT_ONCE = 8
"""Beside the other jobs: a receiver that hangs must not hold them up."""


@asynccontextmanager
async def run_jobs(
    resources: Resources, *, concurrency: int, look_every_seconds: float = LOOK_EVERY_SECONDS
) -> AsyncIterator[asyncio.Task[None]]:
    """Works until the block ends; then running jobs get a moment, and what is left goes back into the queue."""
    async with open_queue(resources.database.url, pool_size=concurrency + WEBHOOKS_AT_ONCE + 4) as app:
        sweeping = asyncio.create_task(sweep(resources, older_than_seconds=0))
        # Long enough for what a crash left. After a restore there is more, which must not keep anybody waiting.
        await asyncio.wait([sweeping], timeout=SWEEP_FIRST_SECONDS)
        working = asyncio.create_task(_work(app, resources, concurrency, "default", look_every_seconds))
        telling = asyncio.create_task(_work(app, resources, WEBHOOKS_AT_ONCE, QUEUE, look_every_seconds))
        rescuing = asyncio.create_task(_rescue(app))
        try:
            yield working
        finally:
            for task in (sweeping, rescuing, telling, working):
                await stop_task(task)


async def _work(app: procrastinate.App, resources: Resources, concurrency: int, queue: str, look_every: float) -> None:
    await app.run_worker_async(
        queues=[queue],
        concurrency=concurrency,
        install_signal_handlers=False,
        fetch_job_polling_interval=look_every,
        delete_jobs="successful",
        shutdown_graceful_timeout=5,
        additional_context={"resources": resources},
        worker_middleware=[count_outcome],
    )


async def _rescue(app: procrastinate.App) -> None:
    while True:
        try:
            if count := await requeue_stalled(app):
                log.warning("jobs.rescued", count=count)
        except ConnectorException as error:
            log.warning("jobs.rescue_failed", exc_info=error)
        await asyncio.sleep(RESCUE_EVERY_SECONDS)
