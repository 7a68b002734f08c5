"""Short-term memory in the process, in Redis, and in Redis with the process as a substitute."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from app.adapters.in_process import InProcessShortTerm
from app.adapters.redis import RedisShortTerm, connect_redis
from app.adapters.redis_fallback import RedisBreaker, ShortTermWithFallback
from app.core.ports import ShortTerm
from tests.e2e.redis_server import RedisServer
from tests.patience import PATIENCE_SECONDS

SHARE = 20_000
VALUE = b"x" * 1000


@pytest.fixture(scope="module")
def short_term_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


def in_process(_: RedisServer) -> ShortTerm:
    return InProcessShortTerm(tenant_bytes=SHARE)


def in_redis(server: RedisServer) -> ShortTerm:
    return RedisShortTerm(connect_redis(server.url, timeout_seconds=PATIENCE_SECONDS), tenant_bytes=SHARE)


def with_fallback(server: RedisServer) -> ShortTerm:
    return ShortTermWithFallback(in_redis(server), in_process(server), RedisBreaker())


@pytest_asyncio.fixture(params=[in_process, in_redis, with_fallback], ids=lambda build: build.__name__)
async def short_term(request: pytest.FixtureRequest, short_term_redis: RedisServer) -> AsyncIterator[ShortTerm]:
    build: Callable[[RedisServer], ShortTerm] = request.param
    memory = build(short_term_redis)
    yield memory
    await memory.delete(*[f"{tenant}-{number}" for tenant in ("ann", "bob", "none") for number in range(60)])
    await memory.close()


async def test_values_of_a_tenant_that_ended_are_deleted_and_no_others(short_term: ShortTerm) -> None:
    for tenant in ("ann", "bob"):
        for number in range(3):
            await short_term.set(f"{tenant}-{number}", b"value", 60, tenant=tenant)
    assert await short_term.delete_tenant("ann") == 3
    assert (await keys_left(short_term, "ann"), await keys_left(short_term, "bob")) == ([], [0, 1, 2])
    assert await short_term.delete_tenant("ann") == 0


async def keys_left(memory: ShortTerm, tenant: str) -> list[int]:
    return [number for number in range(60) if await memory.get(f"{tenant}-{number}") is not None]


async def test_value_is_kept_until_it_expires_or_is_deleted(short_term: ShortTerm) -> None:
    for tenant in ("ann", None):
        await short_term.set("ann-1", b"one", 60, tenant=tenant)
        await short_term.set("ann-1", b"two", 60, tenant=tenant)
        await short_term.set("ann-2", b"gone soon", 0.05, tenant=tenant)
        assert await short_term.get("ann-1") == b"two"
        await asyncio.sleep(0.1)
        assert await short_term.get("ann-2") is None
        assert await short_term.delete("ann-1", "ann-2", "ann-3") == 1
        assert await short_term.get("ann-1") is None
    assert await short_term.healthy()


async def test_tenant_that_fills_its_share_removes_only_its_own_oldest_values(short_term: ShortTerm) -> None:
    for number in range(3):
        await short_term.set(f"bob-{number}", VALUE, 60, tenant="bob")
        await short_term.set(f"none-{number}", VALUE, 60)
    for number in range(60):
        await short_term.set(f"ann-{number}", VALUE, 60, tenant="ann")
    assert await keys_left(short_term, "bob") == await keys_left(short_term, "none") == [0, 1, 2]
    left = await keys_left(short_term, "ann")
    assert left == list(range(60 - len(left), 60)), "the newest are kept"
    assert SHARE * 0.6 < len(left) * len(VALUE) <= SHARE


async def test_large_values_count_by_their_size(short_term: ShortTerm) -> None:
    await short_term.set("ann-0", VALUE, 60, tenant="ann")
    await short_term.set("ann-1", b"x" * (SHARE - 500), 60, tenant="ann")
    assert await keys_left(short_term, "ann") == [1]
    await short_term.set("ann-1", VALUE, 60, tenant="ann")
    await short_term.set("ann-2", VALUE, 60, tenant="ann")
    assert await keys_left(short_term, "ann") == [1, 2], "a value that is replaced no longer counts"
    await short_term.set("ann-3", b"x" * (SHARE + 1), 60, tenant="ann")
    assert await keys_left(short_term, "ann") == [], "a value beyond the whole share is not kept"


async def test_share_holds_while_redis_is_frozen_and_afterwards(short_term_redis: RedisServer) -> None:
    now = [0.0]
    breaker = RedisBreaker(clock=lambda: now[0])
    impatient = RedisShortTerm(connect_redis(short_term_redis.url), tenant_bytes=SHARE)
    memory = ShortTermWithFallback(impatient, in_process(short_term_redis), breaker)
    short_term_redis.freeze()
    for number in range(60):
        await memory.set(f"frozen-{number}", VALUE, 60, tenant="frozen")
    left = await keys_left(memory, "frozen")
    assert SHARE * 0.6 < len(left) * len(VALUE) <= SHARE
    short_term_redis.thaw()
    now[0] = 10
    assert await keys_left(memory, "frozen") == left, "they move to Redis"
    for number in range(60):
        await memory.set(f"later-{number}", VALUE, 60, tenant="frozen")
    assert await keys_left(memory, "frozen") == [], "and count there"
    await memory.close()


async def test_process_keeps_a_bounded_number_of_bytes_in_all() -> None:
    memory = InProcessShortTerm(max_bytes=100_000, tenant_bytes=50_000)
    for number in range(10):
        await memory.set(f"none-{number}", VALUE, 60)
        await memory.set(f"bob-{number}", VALUE, 60, tenant="bob")
    for tenant in range(20):
        for number in range(60):
            await memory.set(f"{tenant}-{number}", VALUE, 60, tenant=f"attacker {tenant % 4}")
    assert await keys_left(memory, "bob") == await keys_left(memory, "none") == list(range(10))
    left = [await memory.get(f"{tenant}-{number}") for tenant in range(20) for number in range(60)]
    assert 40_000 < sum(len(value or b"") for value in left) <= 80_000


async def test_process_removes_expired_values_of_silent_tenants() -> None:
    now = [0.0]
    memory = InProcessShortTerm(max_bytes=100_000, tenant_bytes=90_000, clock=lambda: now[0])
    for number in range(50):
        await memory.set(f"bob-{number}", VALUE, 60, tenant="bob")
    now[0] = 61
    for number in range(30):
        await memory.set(f"ann-{number}", VALUE, 60, tenant="ann")
    assert memory.size < 60_000
    assert len(await keys_left(memory, "ann")) == 30


async def test_process_removes_the_least_recently_used_values_of_a_tenant() -> None:
    memory = InProcessShortTerm(tenant_bytes=SHARE)
    for number in range(30):
        await memory.set(f"ann-{number}", VALUE, 60, tenant="ann")
        await memory.get("ann-0")
    assert (await keys_left(memory, "ann"))[:2] == [0, 17]


async def test_process_counts_what_small_values_take() -> None:
    memory = InProcessShortTerm(tenant_bytes=SHARE)
    for number in range(60):
        await memory.set(f"ann-{number}", b"", 60, tenant="ann")
    assert len(await keys_left(memory, "ann")) < 50


async def test_redis_forgets_a_tenant_with_its_last_value(short_term_redis: RedisServer) -> None:
    client = connect_redis(short_term_redis.url, timeout_seconds=PATIENCE_SECONDS)
    memory = RedisShortTerm(client, tenant_bytes=SHARE)
    await memory.set("once-0", VALUE, PATIENCE_SECONDS, tenant="once")
    assert len(await client.keys("*:once")) == 2
    assert all([0 < await client.pttl(key) <= PATIENCE_SECONDS * 1000 for key in await client.keys("*once*")])
    await memory.set("once-0", VALUE, 0.05, tenant="again")
    await asyncio.sleep(0.1)
    assert await client.keys("*:again") == []
    await memory.close()
