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


def test_breaker_resets_failures_after_a_success(breaker: CircuitBreaker) -> None:
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    breaker.admit()
    assert breaker.state is BreakerState.CLOSED


def test_breaker_opens_after_consecutive_failures_with_retry_after(breaker: CircuitBreaker, clock: Clock) -> None:
    open_up(breaker)
    clock.now += 3.5
    with pytest.raises(Unavailable) as refused:
        breaker.admit()
    assert breaker.state is BreakerState.OPEN
    assert refused.value.headers == {"Retry-After": "7"}


def test_breaker_admits_one_caller_after_a_rest(breaker: CircuitBreaker, clock: Clock) -> None:
    open_up(breaker)
    clock.now += 10
    assert str(breaker.state) == "half_open"
    breaker.admit()
    with pytest.raises(Unavailable):
        breaker.admit()
    breaker.succeeded()
    breaker.admit()
    assert breaker.state is BreakerState.CLOSED


def test_breaker_rests_again_after_a_failed_trial(breaker: CircuitBreaker, clock: Clock) -> None:
    open_up(breaker)
    clock.now += 10
    breaker.admit()
    breaker.failed()
    clock.now += 9
    with pytest.raises(Unavailable):
        breaker.admit()


def test_breaker_admits_another_caller_after_a_cancelled_trial(breaker: CircuitBreaker, clock: Clock) -> None:
    open_up(breaker)
    clock.now += 10
    breaker.admit()
    breaker.cancelled()
    breaker.admit()


async def hold(gate: ConcurrencyLimit, until: asyncio.Event) -> None:
    async with gate.enter():
        await until.wait()


async def test_limit_refuses_while_its_queue_is_full() -> None:
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


async def test_limit_names_the_time_that_the_waiting_callers_will_take(clock: Clock) -> None:
    gate = ConcurrencyLimit("The model", at_once=2, waiting=3, patience_seconds=60, clock=clock)
    for _ in range(60):
        async with gate.enter():
            clock.now += 8
    until = asyncio.Event()
    inside = [asyncio.create_task(hold(gate, until)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await hold(gate, until)
    assert refused.value.headers["Retry-After"] == "16", "3 wait and 1 more, 2 at once, 8 seconds each"
    until.set()
    await asyncio.gather(*inside)


async def test_limit_refuses_after_its_patience() -> None:
    gate, until = ConcurrencyLimit("The model", at_once=1, waiting=1, patience_seconds=0.01), asyncio.Event()
    holder = asyncio.create_task(hold(gate, until))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await hold(gate, until)
    until.set()
    await holder
    assert gate.waiting == 0


async def test_limit_frees_the_place_of_a_cancelled_caller() -> None:
    gate, until = ConcurrencyLimit("The model", at_once=1, waiting=1), asyncio.Event()
    holder, leaver = asyncio.create_task(hold(gate, until)), asyncio.create_task(hold(gate, until))
    await asyncio.sleep(0)
    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    next_one = asyncio.create_task(hold(gate, until))
    until.set()
    await asyncio.gather(holder, next_one)
