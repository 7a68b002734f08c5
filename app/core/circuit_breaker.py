"""Protects a shared upstream system: a circuit breaker, and a limit on concurrent requests with a bounded queue."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum

from app.core.errors import Unavailable


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Opens after consecutive failures. After a rest it admits one caller, whose result closes it or opens it again."""

    def __init__(
        self, name: str, *, failures: int = 5, rest_seconds: float = 15, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._max_failures = failures
        self._rest = rest_seconds
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._trying = False

    @property
    def state(self) -> BreakerState:
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._trying or self._rested() else BreakerState.OPEN

    def admit(self) -> None:
        """Raises Unavailable while open. An admitted caller reports the result with one of the next three methods."""
        if self._opened_at is None:
            return
        if self._trying or not self._rested():
            error = unavailable(f"{self._name} does not respond. Try again shortly.", self.seconds_until_trial())
            error.is_outage = True
            raise error
        self._trying = True

    def succeeded(self) -> None:
        self._failures = 0
        self._opened_at = None
        self._trying = False

    def failed(self) -> None:
        self._failures += 1
        if self._trying or self._failures >= self._max_failures:
            self._opened_at = self._clock()
        self._trying = False

    def cancelled(self) -> None:
        """The call says nothing about the system: the caller was cancelled, or a working system asked it to wait."""
        self._trying = False

    def _rested(self) -> bool:
        return self.seconds_until_trial() <= 0

    def seconds_until_trial(self) -> float:
        return (self._opened_at or 0) + self._rest - self._clock()


class ConcurrencyLimit:
    """Admits `at_once` callers and lets `waiting` more wait for at most `patience_seconds`. Refuses the rest."""

    def __init__(
        self,
        name: str,
        *,
        at_once: int,
        waiting: int,
        patience_seconds: float = 60,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._at_once = at_once
        self._clock = clock
        self._typical_seconds = 1.0
        """How long callers stayed lately."""
        self._free = asyncio.Semaphore(at_once)
        self._max_waiting = waiting
        self._patience = patience_seconds
        self.waiting = 0

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        await self._wait()
        entered = self._clock()
        try:
            yield
        finally:
            self._free.release()
            self._typical_seconds += (self._clock() - entered - self._typical_seconds) / 8

    async def _wait(self) -> None:
        if self._free.locked() and self.waiting >= self._max_waiting:
            raise self._busy()
        self.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise self._busy() from None
        finally:
            self.waiting -= 1

    def _busy(self) -> Unavailable:
        """`Retry-After` is the time that the callers who wait now will take."""
        wait = min(self._patience, (self.waiting + 1) / self._at_once * self._typical_seconds)
        return unavailable(f"{self._name} has too many requests in progress. Try again shortly.", wait)


def unavailable(detail: str, retry_after: float) -> Unavailable:
    return Unavailable(detail, headers={"Retry-After": str(max(1, math.ceil(retry_after)))})
