"""Incognito leaves no readable trace in Redis: values are encrypted and expire soon."""

import signal
from pathlib import Path

from redis.asyncio import Redis

from tests.e2e.redis_server import RedisServer
from tests.e2e.server import serving
from tests.e2e.traces import (
    Found,
    Scene,
    die_in_the_middle,
    look_for,
    open_session,
    talk_in_incognito,
    talk_normally,
)
from tests.model_server import ModelServer

NOTHING = Found(files=[], tables=[], log_lines=0)


def as_bytes(value: bytes | str | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


async def values_of(redis_server: RedisServer) -> dict[bytes, bytes]:
    """Every key with its stored value, whatever its type."""
    async with Redis.from_url(redis_server.url) as client:
        names = [name async for name in client.scan_iter("*")]
        dumps = {name: await client.dump(name) for name in names}
        plain = {name: await client.get(name) for name in names if await client.type(name) == b"string"}
        assert all([await client.ttl(name) > 0 for name in names]), "everything there has an end"
    return {name: b"".join(as_bytes(each.get(name)) for each in (dumps, plain)) for name in names}


async def test_incognito_leaves_no_trace_in_redis_where_a_normal_conversation_does(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    scene = Scene(tmp_path / "data", ModelServer())
    settings = {**scene.settings, "REDIS_URL": redis_server.url}
    with scene.models, serving(scene.data_dir, **settings) as keepsake:
        scene.logs.append(keepsake.output)
        await scene.sign_in(keepsake, "signup")
        async with scene.client(keepsake) as client:
            await talk_in_incognito(scene, client)
            held = await values_of(redis_server)
            assert [name for name in held if b"incognito" in name], "it lives there, and nowhere else"
            assert scene.secret.encode() not in b"".join([*held, *held.values()])
            session = await open_session(client, "incognito")
            await client.post(f"{session}/messages", json={"content": scene.secret})
            assert await count(redis_server, session) == 1
            await client.delete(session)
            assert await count(redis_server, session) == 0
            await talk_normally(scene, client)
            await die_in_the_middle(scene, client, lambda: keepsake.stop(signal.SIGKILL))
        held = await values_of(redis_server)
        assert scene.plain.encode() in b"".join(held.values()), "the same search finds what may be found"
        assert scene.secret.encode() not in b"".join([*held, *held.values()])
        assert await look_for(scene, scene.secret) == NOTHING
        assert (await look_for(scene, scene.plain)).tables


async def count(redis_server: RedisServer, session: str) -> int:
    name = session.rpartition("/")[2].encode()
    return sum(name in each and b"incognito" in each for each in await values_of(redis_server))
