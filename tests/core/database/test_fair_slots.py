import asyncio
import uuid

import pytest

from app.core.database.fair_slots import FairSlots, SlotsBusyError
from tests.patience import PATIENCE_SECONDS

A, B, C = (uuid.uuid4() for _ in range(3))


async def test_project_alone_gets_half_of_the_slots() -> None:
    slots = FairSlots(10, wait_seconds=0.01)
    for _ in range(5):
        await slots.acquire(A)
    with pytest.raises(SlotsBusyError) as busy:
        await slots.acquire(A)
    assert busy.value.own_share


async def test_slots_remain_for_others_however_many_projects_are_greedy() -> None:
    slots = FairSlots(10, wait_seconds=0.001)
    for project in (A, B, C):
        await asyncio.gather(*(slots.acquire(project) for _ in range(10)), return_exceptions=True)
    await slots.acquire(uuid.uuid4())


async def test_single_slot_is_given_to_anyone() -> None:
    slots = FairSlots(1, wait_seconds=0.001)
    await slots.acquire(A)
    with pytest.raises(SlotsBusyError) as busy:
        await slots.acquire(B)
    assert not busy.value.own_share
    slots.release(A)
    await slots.acquire(B)


async def test_waiting_projects_take_turns_and_work_without_a_project_goes_first() -> None:
    slots = FairSlots(1, wait_seconds=5)
    await slots.acquire(C)
    order: list[uuid.UUID | None] = []

    async def use(project: uuid.UUID | None) -> None:
        await slots.acquire(project)
        order.append(project)
        await asyncio.sleep(0)
        slots.release(project)

    async with asyncio.TaskGroup() as group:
        for project in (A, A, A, B, B, None):
            group.create_task(use(project))
        await asyncio.sleep(0.01)
        slots.release(C)
    assert order == [None, A, B, A, B, A]


async def test_slot_is_not_lost_when_the_one_who_waits_is_cancelled() -> None:
    slots = FairSlots(1, wait_seconds=5)
    await slots.acquire(A)
    waiting = [asyncio.create_task(slots.acquire(B)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    slots.release(A)
    await waiting[1]
    last = asyncio.create_task(slots.acquire(C))
    await asyncio.sleep(0)
    slots.release(B)
    last.cancel()  # at the moment at which it gets the slot
    await asyncio.wait([last])
    await asyncio.wait_for(slots.acquire(A), PATIENCE_SECONDS)
