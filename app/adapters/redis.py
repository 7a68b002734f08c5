"""Short-term memory and counters in Redis, for several instances. They raise OSError while Redis does not respond."""

import time
from collections.abc import Callable, Sequence

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.core.errors import ConfigurationError

TIMEOUT_SECONDS = 0.5
PREFIX = "keepsake:"


def connect_redis(url: str) -> Redis:
    """With short timeouts and without retries: callers can do without a response, but cannot wait for one."""
    try:
        return Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=15,
        )
    except ValueError:
        raise ConfigurationError(
            "REDIS_URL is not a Redis address. Write redis://:password@host:6379/0, or rediss:// for TLS."
        ) from None


class RedisShortTerm:
    def __init__(self, client: Redis) -> None:
        self._client = client

    async def get(self, key: str) -> bytes | None:
        try:
            found = await self._client.get(PREFIX + key)
        except (RedisError, OSError) as error:
            raise ConnectionError("Redis does not respond") from error
        return found if isinstance(found, bytes) else None

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        try:
            await self._client.set(PREFIX + key, value, px=max(1, int(ttl_seconds * 1000)))
        except (RedisError, OSError) as error:
            raise ConnectionError("Redis does not respond") from error

    async def delete(self, *keys: str) -> int:
        if not keys:
            return 0
        try:
            return int(await self._client.delete(*(PREFIX + key for key in keys)))
        except (RedisError, OSError) as error:
            raise ConnectionError("Redis does not respond") from error

    async def healthy(self) -> bool:
        try:
            return bool(await self._client.ping())
        except (RedisError, OSError):
            return False

    async def close(self) -> None:
        await self._client.aclose()


class RedisCounters:
    def __init__(self, client: Redis, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock

    async def hit(self, windows: Sequence[tuple[str, int]]) -> list[int]:
        now = self._clock()
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, seconds in windows:
                    name = f"{PREFIX}count:{seconds}:{int(now // seconds)}:{key}"
                    pipeline.incr(name)
                    pipeline.expire(name, seconds * 2)
                results = await pipeline.execute()
        except (RedisError, OSError) as error:
            raise ConnectionError("Redis does not respond") from error
        return [int(count) for count in results[::2]]

    async def close(self) -> None:
        await self._client.aclose()
