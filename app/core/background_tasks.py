"""Tasks that finish even if their caller is cancelled, and before the process ends."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")
CANCEL_AGAIN_SECONDS = 8.0
"""Longer than the time a worker gives its running jobs to finish."""


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


async def stop_task(task: "asyncio.Task[T]", *, cancel_again_seconds: float = CANCEL_AGAIN_SECONDS) -> None:
    """Cancel a task repeatedly until it ends, and raise its own error.

    Before Python 3.12 `asyncio.wait_for`, which connection pools use, can lose a cancellation. Waiting for the task
    after a single `cancel()` would then never end."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=cancel_again_seconds)
    with contextlib.suppress(asyncio.CancelledError):
        task.result()
