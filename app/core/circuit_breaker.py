"""Two ways to protect a system that others share: stop asking while it is down, and let only so many ask at once."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum

from app.core.errors import Unavailable


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens after failures in a row; after a rest one caller may try, and what happens to it decides for all."""

    def __init__(
        self, name: str, *, failures: int = 5, rest_seconds: float = 15, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._most = failures
        self._rest = rest_seconds
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._trying = False

    @property
    def state(self) -> State:
        if self._opened_at is None:
            return State.CLOSED
        return State.HALF_OPEN if self._trying or self._rested() else State.OPEN

    def admit(self) -> None:
        """Raises Unavailable while open. Who is admitted says what became of it: one of the three methods below."""
        if self._opened_at is None:
            return
        if self._trying or not self._rested():
            raise unavailable(f"{self._name} is not answering; try again shortly.", self._remaining())
        self._trying = True

    def succeeded(self) -> None:
        self._failures = 0
        self._opened_at = None
        self._trying = False

    def failed(self) -> None:
        self._failures += 1
        if self._trying or self._failures >= self._most:
            self._opened_at = self._clock()
        self._trying = False

    def left(self) -> None:
        """Nothing was learnt: the caller went away, or was told to wait by a system that is well."""
        self._trying = False

    def _rested(self) -> bool:
        return self._remaining() <= 0

    def _remaining(self) -> float:
        return (self._opened_at or 0) + self._rest - self._clock()


class Gate:
    """So many at once; so many more may wait for their turn, for so long; the rest hear it at once."""

    def __init__(self, name: str, *, at_once: int, waiting: int, patience_seconds: float = 60) -> None:
        self._name = name
        self._free = asyncio.Semaphore(at_once)
        self._most_waiting = waiting
        self._patience = patience_seconds
        self.waiting = 0

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        await self._wait()
        try:
            yield
        finally:
            self._free.release()

    async def _wait(self) -> None:
        if self._free.locked() and self.waiting >= self._most_waiting:
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
        return unavailable(f"{self._name} has too much to do; try again shortly.", 5)


def unavailable(detail: str, retry_after: float) -> Unavailable:
    return Unavailable(detail, headers={"Retry-After": str(max(1, math.ceil(retry_after)))})
