from app.adapters.in_process import InProcessCounters
from tests.contracts.counters import check_counting_stops_at_an_exceeded_limit, check_members_are_counted_once


async def test_counting_stops_at_an_exceeded_limit() -> None:
    await check_counting_stops_at_an_exceeded_limit(InProcessCounters())


async def test_members_are_counted_once() -> None:
    await check_members_are_counted_once(InProcessCounters())
