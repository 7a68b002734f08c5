"""Short-term memory and counters in Redis, for several instances. They raise OSError while Redis does not respond."""

import time
from collections.abc import Callable, Sequence

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.core.errors import ConfigurationError
from app.core.ports import CountedWindow

TIMEOUT_SECONDS = 0.5
PREFIX = "keepsake:"
COUNT_SCRIPT = """
local counts = {}
for i, key in ipairs(KEYS) do
  local seconds, limit, counts_members = tonumber(ARGV[3*i-2]), tonumber(ARGV[3*i-1]), ARGV[3*i] == '1'
  if counts_members and counts[i-1] > 1 then
    counts[i] = tonumber(redis.call('get', key) or '0')
  else
    counts[i] = redis.call('incr', key)
    if counts[i] == 1 then redis.call('expire', key, 2 * seconds) end
  end
  if counts[i] > limit then break end
end
return counts
"""
"""Counts all windows in one round trip. Conditions on earlier counts could not be expressed in a pipeline."""


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
        self._script = client.register_script(COUNT_SCRIPT)

    async def hit(self, windows: Sequence[CountedWindow]) -> list[int]:
        now = self._clock()
        keys = [f"{PREFIX}count:{each.seconds}:{int(now // each.seconds)}:{each.key}" for each in windows]
        arguments = [value for each in windows for value in (each.seconds, each.limit, int(each.counts_members))]
        try:
            counts = await self._script(keys=keys, args=arguments)
        except (RedisError, OSError) as error:
            raise ConnectionError("Redis does not respond") from error
        return [int(count) for count in counts]

    async def close(self) -> None:
        await self._client.aclose()
