"""The address of a Redis that sentinels watch. A failover is in tests/faults/test_redis_sentinel.py."""

import pytest

from app.adapters.redis import RedisShortTerm, SentinelRedis, connect_redis
from app.core.errors import ConfigurationError


async def test_address_names_sentinels_service_database_and_passwords() -> None:
    client = connect_redis("rediss+sentinel://ana:s%2Fe@one:26380,[::1]/mymaster/2?sentinel_password=other")
    assert isinstance(client, SentinelRedis)
    assert client.directory
    sentinels = [each.connection_pool.connection_kwargs for each in client.directory.sentinels]
    assert [(each["host"], each["port"], each["password"]) for each in sentinels] == [
        ("one", 26380, "other"),
        ("::1", 26379, "other"),
    ]
    options = client.connection_pool.connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("ana", "s/e", 2)
    assert "SSL" in client.connection_pool.connection_class.__name__
    await client.aclose()


async def test_unreachable_sentinels_are_an_unreachable_redis() -> None:
    client = connect_redis("redis+sentinel://127.0.0.1:1,127.0.0.1:2/mymaster")
    with pytest.raises(ConnectionError):
        await RedisShortTerm(client).get("window")
    await client.aclose()


def test_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        connect_redis("redis+sentinel://one:many/mymaster")
