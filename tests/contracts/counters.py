"""The contract of the port Counters. tests/contracts/test_counters.py and tests/e2e/test_redis.py run it."""

import uuid

from app.core.ports import CountedWindow, Counters

SECONDS = 86_400


async def check_counting_stops_at_an_exceeded_limit(counters: Counters) -> None:
    narrow, wide = (CountedWindow(f"{uuid.uuid4()}", SECONDS, limit) for limit in (2, 100))
    assert [await counters.hit([narrow, wide]) for _ in range(4)] == [[1, 1], [2, 2], [3], [4]]
    assert await counters.hit([wide]) == [3], "refused requests do not use up the wider limit"


async def check_members_are_counted_once(counters: Counters) -> None:
    everyone = CountedWindow(f"{uuid.uuid4()}", SECONDS, counts_members=True)
    ana, bob = (CountedWindow(f"{uuid.uuid4()}", SECONDS) for _ in range(2))
    assert await counters.hit([ana, everyone]) == [1, 1]
    assert await counters.hit([ana, everyone]) == [2, 1]
    assert await counters.hit([bob, everyone]) == [1, 2]
    assert await counters.hit([bob, everyone]) == [2, 2]
    assert await counters.hit([ana, everyone]) == [3, 2]
