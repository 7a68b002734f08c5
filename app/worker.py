"""Run background jobs with the same resources as the web server: inside its process, or in processes of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import procrastinate
import structlog
from procrastinate.exceptions import ConnectorException

import app.chat.summary.jobs
import app.gateways.mem0.jobs
import app.memory.categories.jobs
import app.memory.extraction.jobs
import app.memory.indexing.jobs
import app.memory.ledger.jobs
import app.memory.user_profiles.jobs
import app.webhooks.jobs
from app.core.background_tasks import stop_task
from app.core.jobs import count_outcome, open_queue, requeue_stalled
from app.core.resources import Resources
from app.memory.indexing import sweep

log = structlog.get_logger()
JOB_MODULES = (
    app.chat.summary.jobs,
    app.gateways.mem0.jobs,
    app.memory.categories.jobs,
    app.memory.extraction.jobs,
    app.memory.indexing.jobs,
    app.memory.ledger.jobs,
    app.memory.user_profiles.jobs,
    app.webhooks.jobs,
)
"""Importing these modules registers their tasks. A worker runs only registered tasks."""
REQUEUE_EVERY_SECONDS = 15
POLL_SECONDS = 5.0
MAX_FIRST_SWEEP_SECONDS = 5.0
WEBHOOK_CONCURRENCY = 8
"""Webhooks have workers of their own, so that a receiver that hangs does not delay other jobs."""


@asynccontextmanager
async def run_jobs(
    resources: Resources, *, concurrency: int, poll_seconds: float = POLL_SECONDS
) -> AsyncIterator[asyncio.Task[None]]:
    """Run jobs until the block ends. Running jobs then get five seconds to finish; the rest are queued again."""
    async with open_queue(resources.database.url, pool_size=concurrency + WEBHOOK_CONCURRENCY + 4) as queue:
        first_sweep = asyncio.create_task(sweep(resources, older_than_seconds=0))
        # Enough for what a crash left unindexed. After a restore there is more, and jobs must not wait for it.
        await asyncio.wait([first_sweep], timeout=MAX_FIRST_SWEEP_SECONDS)
        work = asyncio.create_task(_work(queue, resources, concurrency, "default", poll_seconds))
        webhooks = asyncio.create_task(
            _work(queue, resources, WEBHOOK_CONCURRENCY, app.webhooks.jobs.QUEUE, poll_seconds)
        )
        requeueing = asyncio.create_task(_requeue_stalled_jobs(queue))
        try:
            yield work
        finally:
            for task in (first_sweep, requeueing, webhooks, work):
                await stop_task(task)


async def _work(
    queue: procrastinate.App, resources: Resources, concurrency: int, name: str, poll_seconds: float
) -> None:
    await queue.run_worker_async(
        queues=[name],
        concurrency=concurrency,
        install_signal_handlers=False,
        fetch_job_polling_interval=poll_seconds,
        delete_jobs="successful",
        shutdown_graceful_timeout=5,
        additional_context={"resources": resources},
        worker_middleware=[count_outcome],
    )


async def _requeue_stalled_jobs(queue: procrastinate.App) -> None:
    while True:
        try:
            if count := await requeue_stalled(queue):
                log.warning("jobs.rescued", count=count)
        except ConnectorException as error:
            log.warning("jobs.rescue_failed", exc_info=error)
        await asyncio.sleep(REQUEUE_EVERY_SECONDS)
