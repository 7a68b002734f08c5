"""Background work ends when it is stopped, even after a lost cancellation, and starts again when it ends by itself."""

import asyncio
import time

import pytest

from app.core.background_tasks import SupervisedTask, TaskState, run_supervised, stop_task
from app.core.observability.metrics import REGISTRY
from tests.patience import PATIENCE_SECONDS


async def test_stop_task_cancels_again_after_a_lost_cancellation() -> None:
    """Loses a cancellation, as Python 3.11's `wait_for` does if its result arrives at the same time."""
    heard = 0

    async def deaf_at_first() -> None:
        nonlocal heard
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard += 1
                if heard > 1:
                    raise

    task = asyncio.create_task(deaf_at_first())
    await asyncio.sleep(0)
    await asyncio.wait_for(stop_task(task, cancel_again_seconds=0.01), PATIENCE_SECONDS)
    assert heard == 2
    assert task.cancelled()


async def test_stop_task_waits_for_a_slow_task() -> None:
    asked = 0

    async def puts_things_away() -> None:
        nonlocal asked
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            asked += 1
            await asyncio.sleep(0.05)
            raise

    task = asyncio.create_task(puts_things_away())
    await asyncio.sleep(0)
    await stop_task(task)
    assert asked == 1


async def test_stop_task_raises_the_error_of_the_task() -> None:
    async def fails() -> None:
        raise OSError("the disk is full")

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    with pytest.raises(OSError, match="the disk is full"):
        await stop_task(task)


class Work:
    """Ends in the given ways, one after the other, and then runs until it is cancelled."""

    def __init__(self, *endings: BaseException | None) -> None:
        self.endings = list(endings)
        self.task = SupervisedTask("work", self.run, silent_after_seconds=10, first_pause_seconds=0.01)
        self.is_running = asyncio.Event()

    async def run(self) -> None:
        if self.endings:
            ending = self.endings.pop(0)
            if ending:
                raise ending
            return
        self.task.beat()
        self.is_running.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("ending", [None, OSError("connection lost"), asyncio.CancelledError()], ids=repr)
async def test_supervised_task_starts_again_after_any_end(ending: BaseException | None) -> None:
    """A worker of procrastinate returns normally when a task beside it, such as its listener, loses its connection."""
    before = REGISTRY.get_sample_value("keepsake_task_restarts_total", {"task": "work"}) or 0
    work = Work(ending, ending)
    async with run_supervised([], work.task), asyncio.timeout(PATIENCE_SECONDS):
        await work.is_running.wait()
        assert work.task.restarts == 2
        assert work.task.state() is TaskState.RUNNING
    assert REGISTRY.get_sample_value("keepsake_task_restarts_total", {"task": "work"}) == before + 2


async def test_supervised_task_pauses_twice_as_long_after_each_end() -> None:
    work = Work(*[OSError()] * 5)
    started_at = time.monotonic()
    async with run_supervised([], work.task), asyncio.timeout(PATIENCE_SECONDS):
        await work.is_running.wait()
    assert time.monotonic() - started_at >= 0.01 + 0.02 + 0.04 + 0.08 + 0.16


async def test_supervised_task_is_restarting_until_its_next_beat() -> None:
    work = Work(None)
    work.task.beat = lambda: None  # type: ignore[method-assign]
    async with run_supervised([], work.task), asyncio.timeout(PATIENCE_SECONDS):
        await work.is_running.wait()
        assert work.task.state() is TaskState.RESTARTING
        SupervisedTask.beat(work.task)
        assert work.task.state() is TaskState.RUNNING


async def test_supervised_task_without_beats_is_silent() -> None:
    work = Work()
    async with run_supervised([], work.task), asyncio.timeout(PATIENCE_SECONDS):
        await work.is_running.wait()
        work.task.silent_after_seconds = 0
        assert work.task.state() is TaskState.SILENT
        assert work.task.seconds_since_beat() > 0


async def test_supervised_task_stops_although_its_work_fails_meanwhile() -> None:
    async def fail_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("the connection is gone") from None

    registry: list[SupervisedTask] = []
    task = SupervisedTask("fails", fail_when_cancelled, silent_after_seconds=10)
    async with asyncio.timeout(PATIENCE_SECONDS), run_supervised(registry, task):
        assert registry == [task]
        await asyncio.sleep(0)
    assert registry == []
    assert task.restarts == 0
