"""Redis is stopped, or accepts connections and answers nothing. Requests go on with values of the process."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from app.adapters.in_process import InProcessShortTerm
from app.adapters.redis import TIMEOUT_SECONDS, RedisShortTerm, connect_redis
from app.adapters.redis_fallback import RETRY_AFTER_SECONDS, RedisBreaker, ShortTermWithFallback
from app.core.observability.metrics import REGISTRY
from app.main import create_app
from app.settings import Settings
from app.wiring import open_resources
from tests.conftest import PASSWORD, open_client
from tests.e2e.redis_server import RedisServer
from tests.patience import PATIENCE_SECONDS

REQUESTS_PER_USER = 40
FAILURES = ["stopped", "frozen"]
NAME = "Wilhelmina Quist"


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest_asyncio.fixture(scope="module")
async def app_with_redis(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FastAPI]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("app"),
        redis_url=redis_server.url,
        rate_limit_user=f"{REQUESTS_PER_USER}/day",
        sign_ups_per_address=1000,
        rate_limit_auth="1000/minute",
    )
    async with open_resources(settings) as resources:
        yield create_app(resources)


def interrupt(server: RedisServer, failure: str) -> None:
    server.stop() if failure == "stopped" else server.freeze()


async def restore(server: RedisServer, failure: str, app: FastAPI) -> None:
    server.start() if failure == "stopped" else server.thaw()
    async with open_client(app) as client, asyncio.timeout(PATIENCE_SECONDS):
        while (await client.get("/v1/ready")).json()["checks"]["short_term"] != "ok":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await asyncio.sleep(RETRY_AFTER_SECONDS + 0.1)  # the next call tries Redis again


def counted_in_process() -> float:
    return REGISTRY.get_sample_value("keepsake_rate_limit_unavailable_total") or 0


async def sign_up(client: httpx.AsyncClient) -> dict[str, str]:
    credentials = {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD}
    answer = await client.post("/v1/auth/signup", json=credentials)
    assert answer.status_code == 200, answer.text
    return credentials


async def sign_in(client: httpx.AsyncClient, credentials: dict[str, str]) -> None:
    answer = await client.post("/v1/auth/login", json=credentials)
    assert answer.status_code == 200, answer.text
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


@pytest.mark.parametrize("failure", FAILURES)
async def test_accounts_memories_and_chats_work_while_redis_is_unavailable(
    app_with_redis: FastAPI, redis_server: RedisServer, failure: str
) -> None:
    async with open_client(app_with_redis) as client:
        known = await sign_up(client)
        interrupt(redis_server, failure)
        started_at = time.monotonic()
        await sign_up(client)
        for _ in range(10):
            await sign_in(client, known)
        added = await client.post(
            "/v3/memories/add/",
            json={"messages": [{"role": "user", "content": f"I know {NAME}"}], "user_id": "ana", "infer": False},
        )
        assert added.status_code == 200, added.text
        found = await client.post("/v3/memories/search/", json={"query": NAME, "filters": {"user_id": "ana"}})
        assert NAME in found.text
        told = await client.post("/v1/chat", json={"message": "Hello"})
        assert told.status_code == 200, told.text
        again = await client.post("/v1/chat", json={"message": "Again", "session_id": told.json()["session_id"]})
        assert again.status_code == 200, again.text
        assert time.monotonic() - started_at < 90 * TIMEOUT_SECONDS, "not each of more than 100 calls waits"
        ready = (await client.get("/v1/ready")).json()
        assert ready["checks"]["short_term"] == "unavailable"
        await restore(redis_server, failure, app_with_redis)
        await sign_in(client, known)


async def next_allowed(client: httpx.AsyncClient, credentials: dict[str, str]) -> httpx.Response:
    """The first response that Redis counts. If it takes half a second on a busy machine, the process counts again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await sign_in(client, credentials)  # the process remembers for a minute that it refused the other token
            response = await client.get("/v1/projects")
            if response.status_code == 200:
                return response
            await asyncio.sleep(RETRY_AFTER_SECONDS)


@pytest.mark.parametrize("failure", FAILURES)
async def test_limits_hold_while_redis_is_unavailable(
    app_with_redis: FastAPI, redis_server: RedisServer, failure: str
) -> None:
    async with open_client(app_with_redis) as client:
        known = await sign_up(client)
        await sign_in(client, known)
        interrupt(redis_server, failure)
        before = counted_in_process()
        answers = [await client.get("/v1/projects") for _ in range(REQUESTS_PER_USER + 1)]
        assert [answer.status_code for answer in answers] == [200] * REQUESTS_PER_USER + [429]
        assert counted_in_process() == before + REQUESTS_PER_USER + 1
        mails = [await client.post("/auth/v1/recover", json={"email": known["email"]}) for _ in range(2)]
        assert [answer.status_code for answer in mails] == [200, 429]
        await restore(redis_server, failure, app_with_redis)
        allowed = await next_allowed(client, known)
        assert int(allowed.headers["X-RateLimit-Remaining"]) > REQUESTS_PER_USER / 2, "Redis has a count of its own"


async def test_incognito_conversation_goes_on_while_redis_is_frozen(
    app_with_redis: FastAPI, redis_server: RedisServer
) -> None:
    async with open_client(app_with_redis) as client:
        await sign_in(client, await sign_up(client))
        opened = await client.post("/v1/sessions", json={"privacy_mode": "incognito"})
        session = f"/v1/sessions/{opened.json()['id']}"

        async def say(content: str) -> int:
            answer = await client.post(f"{session}/messages", json={"content": content})
            assert answer.status_code == 200, answer.text
            return int((await client.get(f"{session}/summary")).json()["short_term_messages"])

        assert await say("before") == 2
        redis_server.freeze()
        assert await say("meanwhile") == 2
        await restore(redis_server, "frozen", app_with_redis)
        assert await say("after") == 4


async def test_short_term_values_that_change_meanwhile_replace_those_in_redis(redis_server: RedisServer) -> None:
    now = 0.0
    client = connect_redis(redis_server.url)
    stored = RedisShortTerm(client)
    memory = ShortTermWithFallback(stored, InProcessShortTerm(), RedisBreaker(lambda: now))
    for key in ("deleted", "changed", "changed twice", "unchanged"):
        await memory.set(key, b"old", 60)
    redis_server.freeze()
    assert await memory.delete("deleted") == 0
    await memory.set("changed", b"new", 60)
    await memory.set("changed twice", b"new", 60)
    assert [await memory.get(key) for key in ("deleted", "changed", "unchanged")] == [None, b"new", None]
    assert not await memory.healthy()

    redis_server.thaw()
    now = 60
    await memory.set("changed twice", b"newest", 60)
    assert await stored.get("deleted") is None, "deleted by the first call that Redis answers"
    assert [await memory.get(key) for key in ("changed", "changed twice", "unchanged")] == [b"new", b"newest", b"old"]
    assert [await stored.get(key) for key in ("changed", "changed twice")] == [b"new", b"newest"]
    assert await memory.delete("changed", "unchanged") == 2
    await memory.close()
