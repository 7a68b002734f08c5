"""A background task ends when it is stopped, even if it loses a cancellation."""

import asyncio

import pytest

from app.core.background_tasks import stop_task


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
    await asyncio.wait_for(stop_task(task, cancel_again_seconds=0.01), 5)
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
