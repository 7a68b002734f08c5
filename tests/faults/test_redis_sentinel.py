"""The server that serves as master dies, and the sentinel makes its replica the master."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.adapters.redis import RedisCounters, RedisShortTerm, connect_redis
from app.core.ports import CountedWindow
from tests.e2e.redis_server import RedisServer
from tests.patience import PATIENCE_SECONDS


@dataclass
class Watched:
    """A master with one replica and one sentinel."""

    master: RedisServer
    replica: RedisServer
    sentinel: RedisServer

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/mymaster/0"

    async def until_replica_is_known(self) -> None:
        client = Redis(port=self.sentinel.port)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await client.sentinel_slaves("mymaster"):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        await client.aclose()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    master = RedisServer(tmp_path)
    replica = RedisServer(tmp_path, replica_of=master.port)
    sentinel = RedisServer(tmp_path, watches=master.port)
    yield Watched(master, replica, sentinel)
    for each in (sentinel, replica, master):
        each.stop()


async def until_it_works(work: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await work()
            except ConnectionError:
                await asyncio.sleep(0.2)
            else:
                return


@pytest.mark.long
async def test_short_term_memory_and_counters_follow_the_master(watched: Watched) -> None:
    client = connect_redis(watched.url)
    short_term, counters = RedisShortTerm(client), RedisCounters(client, clock=lambda: 1000.0)
    window = [CountedWindow("user:ana", 60, 10)]
    await short_term.set("window", b"said", 60, tenant="one")
    assert (await short_term.get("window"), await counters.hit(window)) == (b"said", [1])
    await watched.until_replica_is_known()
    watched.master.stop()
    with pytest.raises(ConnectionError):
        await short_term.get("window")
    await until_it_works(lambda: short_term.set("window", b"said later", 60, tenant="one"))
    assert await short_term.get("window") == b"said later"
    assert await counters.hit(window) in ([1], [2]), "the new master has no script, or the replicated one"
    assert await short_term.healthy()
    await client.aclose()
