"""Tasks that finish even if their caller is cancelled, and tasks that never end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from enum import StrEnum
from typing import TypeVar

import structlog

from app.core.observability.metrics import TASK_RESTARTS

T = TypeVar("T")
log = structlog.get_logger()
CANCEL_AGAIN_SECONDS = 8.0
"""Longer than the time a worker gives its running jobs to finish."""
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0


class Background:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def start(self, work: Coroutine[object, object, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, work: Coroutine[object, object, T]) -> T:
        """Wait for the work. Cancelling the caller does not cancel the work."""
        return await asyncio.shield(self.start(work))

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)


class TaskState(StrEnum):
    RUNNING = "running"
    RESTARTING = "restarting"
    SILENT = "silent"


class SupervisedTask:
    """Work that must never end. If it does, by an error or by returning, it is started again after a pause.

    The work calls `beat` whenever it has achieved something. After a restart it counts as running from the next beat,
    and a task without a beat for `silent_after_seconds` counts as silent: readiness reports both.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        silent_after_seconds: float,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self.name = name
        self.silent_after_seconds = silent_after_seconds
        self.restarts = 0
        self._work = work
        self._first_pause = first_pause_seconds
        self._restarting = False
        self._last_beat = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.beat()
        self._task = asyncio.create_task(self._run_forever())

    def beat(self) -> None:
        self._restarting = False
        self._last_beat = time.monotonic()

    def seconds_since_beat(self) -> float:
        return time.monotonic() - self._last_beat

    def state(self) -> TaskState:
        if self._restarting:
            return TaskState.RESTARTING
        return TaskState.SILENT if self.seconds_since_beat() > self.silent_after_seconds else TaskState.RUNNING

    async def stop(self) -> None:
        if self._task:
            await stop_task(self._task)

    async def _run_forever(self) -> None:
        pause = self._first_pause
        while True:
            started_at = time.monotonic()
            # Errors are returned, and so is a cancellation that comes from inside the work. Stopping raises here.
            (error,) = await asyncio.gather(self._work(), return_exceptions=True)
            self._report_end(error)
            ran_long = time.monotonic() - started_at > MAX_PAUSE_SECONDS
            pause = self._first_pause if ran_long else pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _report_end(self, error: BaseException | None) -> None:
        self._restarting = True
        self.restarts += 1
        TASK_RESTARTS.labels(self.name).inc()
        if error is None:
            log.warning("task.returned", task=self.name)
        else:
            log.error("task.failed", task=self.name, exc_info=error)


@contextlib.asynccontextmanager
async def run_supervised(registry: list[SupervisedTask], *tasks: SupervisedTask) -> AsyncIterator[None]:
    """Run the tasks until the block ends. Readiness reports the tasks in the registry."""
    for task in tasks:
        task.start()
    registry.extend(tasks)
    try:
        yield
    finally:
        for task in tasks:
            registry.remove(task)
        await asyncio.gather(*(task.stop() for task in tasks))


async def stop_task(task: "asyncio.Task[T]", *, cancel_again_seconds: float = CANCEL_AGAIN_SECONDS) -> None:
    """Cancel a task repeatedly until it ends, and raise its own error.

    Before Python 3.12 `asyncio.wait_for`, which connection pools use, can lose a cancellation. Waiting for the task
    after a single `cancel()` would then never end."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=cancel_again_seconds)
    with contextlib.suppress(asyncio.CancelledError):
        task.result()
