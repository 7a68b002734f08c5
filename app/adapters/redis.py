"""Short-term memory and counters in Redis, for several instances. They raise OSError while Redis does not respond."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.core.config import TENANT_BYTES
from app.core.errors import ConfigurationError
from app.core.ports import CountedWindow

TIMEOUT_SECONDS = 0.5
PREFIX = "keepsake:"
SENTINELS, SENTINEL_PORT = "+sentinel://", 26379
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
SET_SCRIPT = """
local value, ages, sizes = KEYS[1], KEYS[2], KEYS[3]
local ttl, name, now, share = tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
redis.call('set', value, ARGV[1], 'px', ttl)
local known = tonumber(redis.call('hget', sizes, name) or '0')
local total = redis.call('hincrby', sizes, 'total', #ARGV[1] - known)
redis.call('hset', sizes, name, #ARGV[1])
redis.call('zadd', ages, now, name)
while total > share do
  local oldest = redis.call('zpopmin', ages)[1]
  if not oldest then break end
  redis.call('del', ARGV[6] .. oldest)
  total = redis.call('hincrby', sizes, 'total', -tonumber(redis.call('hget', sizes, oldest) or '0'))
  redis.call('hdel', sizes, oldest)
end
for _, key in ipairs({ages, sizes}) do
  if redis.call('pttl', key) < ttl then redis.call('pexpire', key, ttl) end
end
return total
"""
"""Sets a value of a tenant and removes the tenant's oldest ones beyond its share. Values that expired or were deleted
count until they are the oldest."""


class SentinelRedis(Redis):
    """The master of a service. A new connection asks the sentinels which server that is now."""

    directory: Sentinel | None = None

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        for each in self.directory.sentinels if self.directory else ():
            await each.aclose()


def connect_redis(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Redis:
    """With short timeouts and without retries: callers can do without a response, but cannot wait for one."""
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 15,
    }
    try:
        return _connect_by_sentinels(url, options) if SENTINELS in url else Redis.from_url(url, **options)
    except ValueError:
        raise ConfigurationError(
            "REDIS_URL is not a Redis address. Write redis://:password@host:6379/0, rediss:// for TLS, or"
            " redis+sentinel://host:26379,host:26379/service/0."
        ) from None


def _connect_by_sentinels(url: str, options: Mapping[str, Any]) -> Redis:
    """`redis+sentinel://user:password@host:26379,host:26379/service/0?sentinel_password=…`, or `rediss+…` for TLS."""
    parts = urlsplit(url)
    service, _, number = parts.path.strip("/").partition("/")
    encrypted = {"ssl": True} if parts.scheme.startswith("rediss") else {}
    password = parse_qs(parts.query).get("sentinel_password", [None])[0]
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        [_host_and_port(each) for each in parts.netloc.rpartition("@")[2].split(",")],
        sentinel_kwargs={**options, **encrypted, "password": password},
        **options,
        **encrypted,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        db=int(number or 0),
    )
    client: SentinelRedis = sentinel.master_for(service, redis_class=SentinelRedis)
    client.directory = sentinel
    return client


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(f"//{address}")
    return parts.hostname or "", parts.port or SENTINEL_PORT


class RedisShortTerm:
    def __init__(self, client: Redis, *, tenant_bytes: int = TENANT_BYTES) -> None:
        self._client = client
        self._tenant_bytes = tenant_bytes
        self._set_in_share = client.register_script(SET_SCRIPT)

    async def get(self, key: str) -> bytes | None:
        try:
            found = await self._client.get(PREFIX + key)
        except (RedisError, OSError) as error:
            raise ConnectionError("Redis does not respond") from error
        return found if isinstance(found, bytes) else None

    async def set(self, key: str, value: bytes, ttl_seconds: float, *, tenant: str | None = None) -> None:
        milliseconds = max(1, int(ttl_seconds * 1000))
        try:
            if tenant is None:
                await self._client.set(PREFIX + key, value, px=milliseconds)
                return
            keys = [PREFIX + key, f"{PREFIX}ages:{tenant}", f"{PREFIX}sizes:{tenant}"]
            await self._set_in_share(keys, [value, milliseconds, key, time.time(), self._tenant_bytes, PREFIX])
        except (RedisError, OSError) as error:
            raise ConnectionError("Redis does not respond") from error

    async def delete(self, *keys: str) -> int:
        if not keys:
            return 0
        try:
            return int(await self._client.delete(*(PREFIX + key for key in keys)))
        except (RedisError, OSError) as error:
            raise ConnectionError("Redis does not respond") from error

    async def delete_tenant(self, tenant: str) -> int:
        ages, sizes = f"{PREFIX}ages:{tenant}", f"{PREFIX}sizes:{tenant}"
        try:
            names = [name for name in await self._client.zrange(ages, 0, -1) if isinstance(name, bytes)]
            keys = [PREFIX + name.decode() for name in names]
            deleted = int(await self._client.delete(*keys)) if keys else 0
            await self._client.delete(ages, sizes)
        except (RedisError, OSError) as error:
            raise ConnectionError("Redis does not respond") from error
        return deleted

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
