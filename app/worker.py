"""Run background jobs with the same resources as the web server: inside its process, or in processes of their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import procrastinate
import procrastinate.worker
import structlog
from sqlalchemy.exc import SQLAlchemyError

import app.admin.jobs
import app.chat.summary.jobs
import app.erasure.jobs
import app.gateways.mem0.jobs
import app.memory.categories.jobs
import app.memory.extraction.jobs
import app.memory.indexing.jobs
import app.memory.judgement.jobs
import app.memory.ledger.jobs
import app.memory.summaries.jobs
import app.memory.user_profiles.jobs
import app.portability.exports.jobs
import app.projects.jobs
import app.retention.jobs
import app.webhooks.jobs
from app.core.background_tasks import SupervisedTask, run_supervised, stop_task
from app.core.errors import AppError, Postponed
from app.core.jobs import JobContext, count_outcome, observe_fetches, open_queue, pauses_of, requeue_stalled
from app.core.resources import Resources
from app.memory.extraction.interim import store_all_waiting_words
from app.memory.indexing import IndexWatch, sweep

log = structlog.get_logger()
JOB_MODULES = (
    app.admin.jobs,
    app.chat.summary.jobs,
    app.erasure.jobs,
    app.gateways.mem0.jobs,
    app.memory.categories.jobs,
    app.memory.extraction.jobs,
    app.memory.indexing.jobs,
    app.memory.judgement.jobs,
    app.memory.ledger.jobs,
    app.memory.summaries.jobs,
    app.memory.user_profiles.jobs,
    app.portability.exports.jobs,
    app.projects.jobs,
    app.retention.jobs,
    app.webhooks.jobs,
)
"""Importing these modules registers their tasks. A worker runs only registered tasks."""
REQUEUE_EVERY_SECONDS = 15
INTERIM_EVERY_SECONDS = 2
POLL_SECONDS = 5.0
MAX_FIRST_SWEEP_SECONDS = 5.0
DISK_POLL_SECONDS = 1.0
DEFAULT_QUEUE = "default"
WEBHOOK_CONCURRENCY = 16
"""Projects whose webhooks are delivered at the same time. They have workers of their own, so that a receiver that hangs
does not delay other jobs."""
QUEUE_CONNECTIONS = 12
"""Beyond those of the other jobs. A job holds none while it runs."""
SILENT_AFTER_SECONDS = 60.0
"""A worker asks for a job every few seconds, and may wait for a connection before it does."""
SILENT_WHEN_FULL_SECONDS = 900.0
"""A worker with as many jobs as it may run asks for none until one of them ends."""


@asynccontextmanager
async def run_jobs(
    resources: Resources, *, concurrency: int, poll_seconds: float = POLL_SECONDS, inspects_index: bool = False
) -> AsyncIterator[None]:
    """Run jobs until the block ends. Running jobs then get five seconds to finish; the rest are queued again.

    `inspects_index` also compares the index with the ledger, and repairs it in the background.
    """
    async with open_queue(resources.database.url, pool_size=concurrency + QUEUE_CONNECTIONS) as queue:
        first_sweep = asyncio.create_task(_sweep_once(resources))
        # Enough for what a crash left unindexed. After a restore there is more, and jobs must not wait for it.
        await asyncio.wait([first_sweep], timeout=MAX_FIRST_SWEEP_SECONDS)
        workers = (
            QueueWorker("jobs", queue, DEFAULT_QUEUE, resources, concurrency, poll_seconds),
            QueueWorker("webhooks", queue, app.webhooks.jobs.QUEUE, resources, WEBHOOK_CONCURRENCY, poll_seconds),
        )
        rescuer, watch = StalledJobRescuer(queue).supervised, IndexWatch(resources, inspects=inspects_index).supervised
        words = WaitingWordsWriter(queue, resources).supervised
        tasks = [rescuer, watch, words, *(worker.supervised for worker in workers)]
        try:
            async with run_supervised(resources.supervised_tasks, *tasks):
                yield
        finally:
            await stop_task(first_sweep)


async def _sweep_once(resources: Resources) -> None:
    """A job repeats it every minute, so a failure is only logged."""
    try:
        await sweep(resources, older_than_seconds=0)
    except (AppError, OSError, SQLAlchemyError) as error:
        log.warning("memory.first_sweep_failed", exc_info=error)


class QueueWorker:
    """Runs the jobs of one queue. procrastinate's worker ends when it loses its connection, often without an error."""

    def __init__(
        self,
        name: str,
        queue: procrastinate.App,
        queue_name: str,
        resources: Resources,
        concurrency: int,
        poll_seconds: float,
    ) -> None:
        self.supervised = SupervisedTask(name, self._work, silent_after_seconds=SILENT_AFTER_SECONDS)
        self._queue = queue
        self._queue_name = queue_name
        self._resources = resources
        self._concurrency = concurrency
        self._poll_seconds = poll_seconds
        self._running = 0
        observe_fetches(queue, queue_name, self.supervised.beat)

    async def _work(self) -> None:
        """Before Python 3.12, a worker that registers itself can lose a cancellation, so it is told to stop as well."""
        worker = procrastinate.worker.Worker(
            self._queue,
            queues=[self._queue_name],
            concurrency=self._concurrency,
            install_signal_handlers=False,
            fetch_job_polling_interval=self._poll_seconds,
            delete_jobs="successful",
            shutdown_graceful_timeout=5,
            additional_context={"resources": self._resources},
            worker_middleware=[count_outcome, self._observe_job],
        )
        running = asyncio.create_task(worker.run())  # type: ignore[no-untyped-call]
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            worker.stop()  # type: ignore[no-untyped-call]
            running.cancel()
            await running
            raise

    async def _observe_job(
        self, call_next: Callable[[], Awaitable[object]], context: JobContext, _: procrastinate.worker.Worker
    ) -> object:
        self._count_running(1)
        pauses, task, seconds = pauses_of(self._queue), context.job.task_name, None
        try:
            await self._wait_for_disk_space()
            return await call_next()
        except Postponed as postponed:
            seconds = postponed.seconds
            raise
        finally:
            self._count_running(-1)
            if seconds is None:
                pauses.ended(task)
            else:
                pauses.postponed(task, seconds)

    async def _wait_for_disk_space(self) -> None:
        """A job that cannot store its result would only use up its attempts."""
        while self._resources.disk_space.is_low():
            self.supervised.beat()
            await asyncio.sleep(DISK_POLL_SECONDS)

    def _count_running(self, change: int) -> None:
        self._running += change
        is_full = self._running >= self._concurrency
        self.supervised.silent_after_seconds = SILENT_WHEN_FULL_SECONDS if is_full else SILENT_AFTER_SECONDS
        self.supervised.beat()


class StalledJobRescuer:
    """Queues the jobs of dead workers again."""

    def __init__(self, queue: procrastinate.App) -> None:
        self.supervised = SupervisedTask("stalled_jobs", self._work, silent_after_seconds=SILENT_AFTER_SECONDS)
        self._queue = queue

    async def _work(self) -> None:
        while True:
            if count := await requeue_stalled(self._queue):
                log.warning("jobs.rescued", count=count)
            self.supervised.beat()
            await asyncio.sleep(REQUEUE_EVERY_SECONDS)


class WaitingWordsWriter:
    """While extraction is paused because the model is away, makes the words of waiting events findable."""

    def __init__(self, queue: procrastinate.App, resources: Resources) -> None:
        self.supervised = SupervisedTask("waiting_words", self._work, silent_after_seconds=SILENT_AFTER_SECONDS)
        self._pauses = pauses_of(queue)
        self._resources = resources

    async def _work(self) -> None:
        while True:
            if self._pauses.is_paused(app.memory.extraction.jobs.extract.name):
                await store_all_waiting_words(self._resources)
            self.supervised.beat()
            await asyncio.sleep(INTERIM_EVERY_SECONDS)
