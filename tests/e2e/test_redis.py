"""Counters and short-term memory in a real Redis. What happens without it is in tests/faults/test_redis.py."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from app.adapters.redis import RedisCounters, RedisShortTerm, connect_redis
from app.core.ports import CountedWindow
from app.core.resources import Resources
from app.main import create_app
from tests.conftest import MakeKey, open_client
from tests.contracts.counters import check_counting_stops_at_an_exceeded_limit, check_members_are_counted_once
from tests.core.test_rate_limit import assert_refused, limits_of
from tests.e2e.redis_server import RedisServer
from tests.patience import PATIENCE_SECONDS


@pytest_asyncio.fixture
async def counters(redis_server: RedisServer) -> AsyncIterator[RedisCounters]:
    counters = RedisCounters(connect_redis(redis_server.url, timeout_seconds=PATIENCE_SECONDS))
    yield counters
    await counters.close()


def app_of(resources: Resources, counters: RedisCounters, **amounts: int) -> FastAPI:
    return create_app(dataclasses.replace(resources, limits=limits_of(counters, **amounts)))


async def list_projects(app: FastAPI, key: str) -> httpx.Response:
    async with open_client(app, key) as client:
        return await client.get("/v1/projects")


async def test_instances_share_rate_limit_counters(
    resources: Resources, redis_server: RedisServer, counters: RedisCounters, make_key: MakeKey
) -> None:
    key = (await make_key()).key
    other = RedisCounters(connect_redis(redis_server.url, timeout_seconds=PATIENCE_SECONDS))
    here, there = app_of(resources, counters, user=3), app_of(resources, other, user=3)
    answers = [
        await list_projects(here, key),
        await list_projects(there, key),
        await list_projects(here, key),
        await list_projects(there, key),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert_refused(answers[3], 3)
    await other.close()


async def test_rate_limit_counters_expire(redis_server: RedisServer, counters: RedisCounters) -> None:
    assert await counters.hit([CountedWindow("ana", 60), CountedWindow("p", 3600)]) == [1, 1]
    assert await counters.hit([CountedWindow("ana", 60)]) == [2]
    client = connect_redis(redis_server.url, timeout_seconds=PATIENCE_SECONDS)
    names = [name async for name in client.scan_iter("keepsake:*")]
    assert len(names) == 2
    assert sorted([await client.ttl(name) // 60 for name in names]) in ([1, 119], [1, 120], [2, 119], [2, 120])
    await client.aclose()


async def test_counters_in_redis_fulfil_the_contract(counters: RedisCounters) -> None:
    await check_counting_stops_at_an_exceeded_limit(counters)
    await check_members_are_counted_once(counters)


async def test_waiting_for_redis_does_not_block_other_requests(
    redis_server: RedisServer, counters: RedisCounters
) -> None:
    impatient = RedisCounters(connect_redis(redis_server.url))
    await counters.hit([CountedWindow("ana", 60)])
    redis_server.freeze()
    waiting = asyncio.create_task(impatient.hit([CountedWindow("ana", 60)]))
    turns = 0
    while not waiting.done():
        await asyncio.sleep(0)
        turns += 1
    with pytest.raises(OSError, match="Redis does not respond"):
        await waiting
    assert turns > 100, "the loop went on turning"
    await impatient.close()


async def test_short_term_memory_reports_an_unavailable_redis(redis_server: RedisServer) -> None:
    memory = RedisShortTerm(connect_redis(redis_server.url, timeout_seconds=PATIENCE_SECONDS))
    await memory.set("k", b"v", 60)
    assert await memory.get("k") == b"v"
    assert await memory.delete("k", "none") == 1
    assert await memory.get("k") is None
    assert await memory.healthy()
    redis_server.stop()
    assert not await memory.healthy()
    with pytest.raises(ConnectionError):
        await memory.get("k")
    await memory.close()
    redis_server.start()
