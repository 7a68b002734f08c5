import asyncio

import pytest

from app.core.circuit_breaker import BreakerState, CircuitBreaker, ConcurrencyLimit
from app.core.errors import Unavailable


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("The model", failures=3, rest_seconds=10, clock=clock)


def open_up(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        breaker.admit()
        breaker.failed()


def test_a_success_in_between_forgives_failures(breaker: CircuitBreaker) -> None:
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    breaker.admit()
    assert breaker.state is BreakerState.CLOSED


def test_failures_in_a_row_open_it_and_callers_hear_when_to_come_back(breaker: CircuitBreaker, clock: Clock) -> None:
    open_up(breaker)
    clock.now += 3.5
    with pytest.raises(Unavailable) as refused:
        breaker.admit()
    assert breaker.state is BreakerState.OPEN
    assert refused.value.headers == {"Retry-After": "7"}


def test_after_a_rest_exactly_one_caller_may_try(breaker: CircuitBreaker, clock: Clock) -> None:
    open_up(breaker)
    clock.now += 10
    assert str(breaker.state) == "half_open"
    breaker.admit()
    with pytest.raises(Unavailable):
        breaker.admit()
    breaker.succeeded()
    breaker.admit()
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_try_means_another_whole_rest(breaker: CircuitBreaker, clock: Clock) -> None:
    open_up(breaker)
    clock.now += 10
    breaker.admit()
    breaker.failed()
    clock.now += 9
    with pytest.raises(Unavailable):
        breaker.admit()


def test_a_try_that_was_given_up_leaves_room_for_the_next(breaker: CircuitBreaker, clock: Clock) -> None:
    open_up(breaker)
    clock.now += 10
    breaker.admit()
    breaker.cancelled()
    breaker.admit()


async def hold(gate: ConcurrencyLimit, until: asyncio.Event) -> None:
    async with gate.enter():
        await until.wait()


async def test_a_full_queue_refuses_at_once_and_an_emptied_one_does_not() -> None:
    gate, until = ConcurrencyLimit("The model", at_once=2, waiting=3), asyncio.Event()
    inside = [asyncio.create_task(hold(gate, until)) for _ in range(5)]
    await asyncio.sleep(0)
    assert gate.waiting == 3
    with pytest.raises(Unavailable) as refused:
        await hold(gate, until)
    assert int(refused.value.headers["Retry-After"]) >= 1
    until.set()
    await asyncio.gather(*inside)
    await hold(gate, until)


async def test_nobody_waits_for_ever() -> None:
    gate, until = ConcurrencyLimit("The model", at_once=1, waiting=1, patience_seconds=0.01), asyncio.Event()
    holder = asyncio.create_task(hold(gate, until))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await hold(gate, until)
    until.set()
    await holder
    assert gate.waiting == 0


async def test_who_leaves_the_queue_frees_a_place() -> None:
    gate, until = ConcurrencyLimit("The model", at_once=1, waiting=1), asyncio.Event()
    holder, leaver = asyncio.create_task(hold(gate, until)), asyncio.create_task(hold(gate, until))
    await asyncio.sleep(0)
    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    next_one = asyncio.create_task(hold(gate, until))
    until.set()
    await asyncio.gather(holder, next_one)
