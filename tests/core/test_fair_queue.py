import asyncio
import uuid

from app.core.fair_queue import FairQueue, TenantLimit

BUSY, OTHER = uuid.uuid4(), uuid.uuid4()


def test_tenants_take_turns() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a", "b", "c"):
        queue.put(BUSY, item)
    queue.put(OTHER, "x")
    queue.put(None, "server")
    assert [queue.pop() for _ in range(5)] == ["a", "x", "server", "b", "c"]
    assert not queue


def test_item_that_is_put_back_is_next_of_its_tenant() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a", "b"):
        queue.put(BUSY, item)
    queue.put(OTHER, "x")
    queue.put_back(BUSY, queue.pop())
    assert queue.peek() == "x"
    assert [queue.pop() for _ in range(3)] == ["x", "a", "b"]


async def test_tenant_has_a_limited_number_of_calls_in_progress() -> None:
    limit, release, started = TenantLimit(2), asyncio.Event(), list[uuid.UUID]()

    async def call(tenant: uuid.UUID) -> None:
        async with limit.enter(tenant):
            started.append(tenant)
            await release.wait()

    calls = [asyncio.create_task(call(tenant)) for tenant in (BUSY, BUSY, BUSY, OTHER)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert started == [BUSY, BUSY, OTHER]
    release.set()
    await asyncio.gather(*calls)
    assert started == [BUSY, BUSY, OTHER, BUSY]
