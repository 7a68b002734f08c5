"""Redis with values of the process as a substitute, so that requests go on while Redis does not respond."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import structlog

from app.core.circuit_breaker import BreakerState, CircuitBreaker
from app.core.errors import Unavailable
from app.core.observability.metrics import LIMITS_UNAVAILABLE
from app.core.ports import CountedWindow, Counters, ShortTerm

T = TypeVar("T")
log = structlog.get_logger()
RETRY_AFTER_SECONDS = 2
MAX_CHANGED = 100_000


class RedisBreaker:
    """After a failure, one call every two seconds waits for Redis. All others raise ConnectionError at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._breaker = CircuitBreaker("Redis", failures=1, rest_seconds=RETRY_AFTER_SECONDS, clock=clock)

    async def call(self, command: Callable[[], Awaitable[T]]) -> T:
        was_closed = self._breaker.state is BreakerState.CLOSED
        try:
            self._breaker.admit()
        except Unavailable as error:
            raise ConnectionError("Redis did not respond a moment ago") from error
        try:
            result = await command()
        except OSError:
            self._breaker.failed()
            if was_closed:
                log.warning("redis.unavailable")
            raise
        except asyncio.CancelledError:
            self._breaker.cancelled()
            raise
        self._breaker.succeeded()
        if not was_closed:
            log.info("redis.available")
        return result


class CountersWithFallback:
    """While Redis does not respond, each process counts what it receives itself."""

    def __init__(self, shared: Counters, local: Counters, breaker: RedisBreaker) -> None:
        self._shared, self._local, self._breaker = shared, local, breaker

    async def hit(self, windows: Sequence[CountedWindow]) -> list[int]:
        try:
            return await self._breaker.call(partial(self._shared.hit, windows))
        except OSError:
            LIMITS_UNAVAILABLE.inc()
            return await self._local.hit(windows)

    async def close(self) -> None:
        await self._shared.close()
        await self._local.close()


class ShortTermWithFallback:
    """What changes while Redis does not respond is kept in the process, and replaces the older value in Redis later.

    Deleted values are deleted there as soon as Redis responds again. Changed ones move there when they are next used.
    """

    def __init__(
        self, shared: ShortTerm, local: ShortTerm, breaker: RedisBreaker, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shared, self._local, self._breaker, self._clock = shared, local, breaker, clock
        self._changed: dict[str, tuple[float, str | None]] = {}
        """The keys whose newest value is in the process, with the time at which it expires and its tenant."""
        self._deleted: set[str] = set()
        self._ended_tenants: set[str] = set()

    async def get(self, key: str) -> bytes | None:
        try:
            return await self._breaker.call(partial(self._get_newest, key))
        except OSError:
            return None if key in self._deleted else await self._local.get(key)

    async def set(self, key: str, value: bytes, ttl_seconds: float, *, tenant: str | None = None) -> None:
        try:
            await self._breaker.call(partial(self._replace, key, value, ttl_seconds, tenant))
        except OSError:
            self._remember(key, self._clock() + ttl_seconds, tenant)
            await self._local.set(key, value, ttl_seconds, tenant=tenant)

    async def delete(self, *keys: str) -> int:
        try:
            return await self._breaker.call(partial(self._delete_everywhere, *keys))
        except OSError:
            self._deleted.update(keys)
            return await self._discard(*keys)

    async def delete_tenant(self, tenant: str) -> int:
        in_process = await self._local.delete_tenant(tenant)
        self._ended_tenants.add(tenant)
        try:
            return max(in_process, await self._breaker.call(self._delete_remaining))
        except OSError:
            return in_process

    async def healthy(self) -> bool:
        return await self._shared.healthy()

    async def close(self) -> None:
        await self._shared.close()
        await self._local.close()

    async def _get_newest(self, key: str) -> bytes | None:
        await self._delete_remaining()
        if key not in self._changed:
            return await self._shared.get(key)
        ends_at, tenant = self._changed[key]
        value = await self._local.get(key)
        if value is None:
            await self._shared.delete(key)
        else:
            await self._shared.set(key, value, max(1.0, ends_at - self._clock()), tenant=tenant)
        await self._discard(key)
        return value

    async def _replace(self, key: str, value: bytes, ttl_seconds: float, tenant: str | None) -> None:
        await self._delete_remaining()
        await self._shared.set(key, value, ttl_seconds, tenant=tenant)
        await self._discard(key)

    async def _delete_everywhere(self, *keys: str) -> int:
        await self._delete_remaining()
        in_process = await self._discard(*keys)
        return max(in_process, await self._shared.delete(*keys))

    async def _delete_remaining(self) -> int:
        """Returns how many values of tenants that have ended were deleted."""
        if self._deleted:
            remaining = list(self._deleted)
            await self._shared.delete(*remaining)
            self._deleted.difference_update(remaining)
        deleted = 0
        for tenant in list(self._ended_tenants):
            deleted += await self._shared.delete_tenant(tenant)
            self._ended_tenants.discard(tenant)
        return deleted

    def _remember(self, key: str, ends_at: float, tenant: str | None) -> None:
        self._deleted.discard(key)
        self._changed.pop(key, None)
        self._changed[key] = (ends_at, tenant)
        while len(self._changed) > MAX_CHANGED:
            del self._changed[next(iter(self._changed))]

    async def _discard(self, *keys: str) -> int:
        for key in keys:
            self._changed.pop(key, None)
        return await self._local.delete(*keys)
