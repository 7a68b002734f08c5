"""Calls of one model server, with a limit on concurrent calls, a circuit breaker and retries."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from app.adapters.models.errors import ModelFailure, connection_failure, failure_of_text, retry_delay
from app.core.circuit_breaker import BreakerState, CircuitBreaker, ConcurrencyLimit
from app.core.errors import AppError

MAX_WAIT_SECONDS = 10.0
"""The longest wait before a retry. If the provider asks for more, the caller gets 503."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CallLimits:
    """`timeout_seconds` is the longest wait in all: the queue, every try and the pauses between them."""

    timeout_seconds: float = 60
    at_once: int = 32
    waiting: int = 128
    tries: int = 3
    rest_seconds: float = 15


class GuardedCalls:
    def __init__(
        self,
        name: str,
        limits: CallLimits,
        errors: tuple[type[Exception], ...],
        classify: Callable[[Exception], ModelFailure],
        *,
        confirm_down: Callable[[float], Awaitable[bool]] | None = None,
    ) -> None:
        """`errors` are what a request may raise, and `classify` says what each means. `confirm_down` is asked until a
        deadline whether the server fails for every request, after it responded to one with an error of its own."""
        self.breaker = CircuitBreaker(name, rest_seconds=limits.rest_seconds)
        self.limit = ConcurrencyLimit(
            name, at_once=limits.at_once, waiting=limits.waiting, patience_seconds=limits.timeout_seconds
        )
        self._name, self._tries, self._timeout = name, limits.tries, limits.timeout_seconds
        self._errors, self._classify, self._confirm_down = errors, classify, confirm_down

    async def call(self, request: Callable[[], Awaitable[T]], *, deadline: float, tries: int | None = None) -> T:
        """Send the request, with retries where they make sense, until the deadline."""
        left = tries or self._tries
        while True:
            left -= 1
            result = await self._try(request, deadline)
            if not isinstance(result, ModelFailure):
                return result
            pause = retry_delay(self._tries - left, result)
            if not left or not result.can_retry or (result.retry_after or 0) > MAX_WAIT_SECONDS:
                raise result.error
            if now() + pause >= deadline:
                raise result.error
            await asyncio.sleep(pause)

    def deadline(self) -> float:
        """When a call that begins now must have its answer."""
        return now() + self._timeout

    async def _try(self, request: Callable[[], Awaitable[T]], deadline: float) -> T | ModelFailure:
        self.breaker.admit()
        try:
            async with asyncio.timeout_at(deadline):
                result = await request()
        except TimeoutError:
            return self._count(connection_failure(self._name, timed_out=True))
        except self._errors as error:
            return await self._record(error, deadline)
        except (asyncio.CancelledError, AppError):
            self.breaker.cancelled()
            raise
        self.breaker.succeeded()
        return result

    async def _record(self, error: Exception, deadline: float) -> ModelFailure:
        failure = self._classify(error)
        if not failure.is_down or failure.status is None or self._confirm_down is None:
            return self._count(failure)
        try:
            is_down = await self._confirm_down(deadline)
        except asyncio.CancelledError:
            self.breaker.cancelled()
            raise
        return self._count(failure if is_down else failure_of_text(self._name, failure))

    def record_failure(self, error: Exception) -> ModelFailure:
        return self._count(self._classify(error))

    def _count(self, failure: ModelFailure) -> ModelFailure:
        if not failure.is_down:
            self.breaker.cancelled()
            return failure
        self.breaker.failed()
        # While the breaker is open, another request would be refused whatever the server does.
        wait = max(failure.retry_after or 0, self.breaker.seconds_until_trial())
        failure.error.is_outage = self.breaker.state is not BreakerState.CLOSED
        if self.breaker.state is BreakerState.OPEN:
            failure.error.headers["Retry-After"] = str(math.ceil(wait))
        return failure


def now() -> float:
    return asyncio.get_running_loop().time()
