"""Small work that must end even when whoever asked for it has gone, and before the process does."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")
ASK_AGAIN_SECONDS = 8.0
"""Longer than a worker gives its running jobs."""


class Background:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def start(self, work: Coroutine[object, object, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, work: Coroutine[object, object, T]) -> T:
        """Wait for it; being cancelled stops the waiting, not the work."""
        return await asyncio.shield(self.start(work))

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)


async def stop_task(task: "asyncio.Task[T]", *, ask_again_seconds: float = ASK_AGAIN_SECONDS) -> None:
    """Ask it until it ends. Before Python 3.12 `wait_for`, in which pools wait for a connection, can lose the request
    to stop; whoever then waited for the end waited forever. What ended it by itself is raised."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=ask_again_seconds)
    with contextlib.suppress(asyncio.CancelledError):
        task.result()
