"""A real server with Redis: nothing of an erased user is in any row, key or file, in any form."""

import asyncio
import base64
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.adapters.embedded_postgres import EmbeddedPostgres
from tests.chat.conversation import AdminRows, start_conversation
from tests.e2e.redis_server import RedisServer
from tests.e2e.server import ROOT, KeepsakeServer, environment, serving
from tests.erasure.planting import Planted
from tests.model_server import Facts, ModelServer, Says

EVERY_TABLE_SQL = (
    "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname !~ '^pg_|^info'"
)
RUN_LAST_LOOK_NOW_SQL = "update jobs.procrastinate_jobs set scheduled_at = now() where task_name = 'erasure.complete'"


@dataclass(frozen=True)
class Marks:
    """Where the strings of one user are: in rows, in keys of Redis, and in files."""

    rows: set[str] = field(default_factory=set)
    redis: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    write_ahead_log: set[str] = field(default_factory=set)

    @property
    def everywhere(self) -> set[str]:
        return self.rows | self.redis | self.files


@dataclass
class Place:
    data_dir: Path
    redis: RedisServer
    admin: AsyncEngine

    async def look_for(self, planted: Planted) -> Marks:
        await self.run("checkpoint")
        files, log = await asyncio.to_thread(self._in_files, planted)
        return Marks(await self._in_rows(planted), await self._in_redis(planted), files, log)

    async def run(self, statement: str) -> None:
        async with self.admin.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await autocommit.exec_driver_sql(statement)

    async def _in_rows(self, planted: Planted) -> set[str]:
        admin, found = AdminRows(self.admin), set[str]()
        for table in await admin.select_all(EVERY_TABLE_SQL):
            found |= marks_in(
                planted,
                "\n".join(row[0] for row in await admin.select_all(f"select t::text from {table.name} t")).encode(),
            )
        return found

    async def _in_redis(self, planted: Planted) -> set[str]:
        """Hashes and sorted sets hold the names of windows."""
        client, found = Redis.from_url(self.redis.url), set[str]()
        async for key in client.scan_iter():
            content = [key, str(await client.type(key)).encode()]
            if b"string" in content[1]:
                content.append(await client.get(key) or b"")
            elif b"hash" in content[1]:
                content += [str(part).encode() for part in await client.hgetall(key)]
            else:
                content += [str(part).encode() for part in await client.zrange(key, 0, -1)]
            found |= marks_in(planted, b" ".join(content))
        await client.aclose()
        return found

    def _in_files(self, planted: Planted) -> tuple[set[str], set[str]]:
        found: dict[bool, set[str]] = {True: set(), False: set()}
        for path in self.data_dir.rglob("*"):
            if path.is_file():
                found["pg_wal" in path.parts] |= marks_in(planted, path.read_bytes())
        return found[False], found[True]


def forms(text: str) -> Iterator[bytes]:
    """Plain, as JSON and an address write it, as Postgres shows bytes, in UTF-16, and in base64 at each offset."""
    plain = text.encode()
    yield from (
        plain,
        json.dumps(text)[1:-1].encode(),
        quote(text).encode(),
        plain.hex().encode(),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
    )
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + plain)
        yield encoded[4 if offset else 0 : -4]


def marks_in(planted: Planted, content: bytes) -> set[str]:
    if not any(form in content for form in forms(planted.prefix)):
        return set()
    return {mark for mark in planted.markers if any(form in content for form in forms(mark))}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.stop()


async def sign_in(keepsake: KeepsakeServer) -> tuple[httpx.AsyncClient, uuid.UUID]:
    client = httpx.AsyncClient(base_url=keepsake.address, timeout=60)
    account = {"email": "owner@example.com", "password": "correct horse battery"}
    signed_up = await client.post("/v1/auth/signup", json=account)
    client.headers["Authorization"] = f"Bearer {signed_up.json()['access_token']}"
    project = (await client.get("/v1/projects")).json()["results"][0]["id"]
    key = (await client.post("/v1/api-keys", json={"name": "application"})).json()["key"]
    client.headers["Authorization"] = f"Bearer {key}"
    return client, uuid.UUID(project)


async def use(client: httpx.AsyncClient, models: ModelServer, planted: Planted) -> None:
    """As applications do: a chat, in incognito as well, memories with agents, and messages."""
    models.always(Says(f"I see, {planted.next_marker()}"))
    models.extraction(Facts(f"User likes {planted.next_marker()}"))
    session = await start_conversation(client, planted.project_id, "normal", planted.user_id)
    answer = await session.send(f"My name is {planted.next_marker()}")
    for _ in range(100):
        event = (await client.get(f"/v1/event/{answer['event_id']}/")).json()
        if event["status"] == "SUCCEEDED":
            break
        await asyncio.sleep(0.1)
    assert event["results"], event
    secret = await start_conversation(client, planted.project_id, "incognito", planted.user_id)
    await secret.send("I say nothing that is stored")
    for _ in range(3):
        body = {
            **{"messages": f"I met {planted.next_marker()}", "infer": False, "user_id": planted.user_id},
            **{"agent_id": planted.next_marker(), "run_id": planted.next_marker()},
            **{"metadata": {planted.next_marker(): planted.next_marker()}},
        }
        assert (await client.post("/v3/memories/add/", json=body)).status_code == 200
    filters = {"AND": [{"user_id": planted.user_id}, {"metadata": {"city": planted.next_marker()}}]}
    export = {"schema": {"properties": {planted.next_marker(): {"type": "string"}}}, "filters": filters}
    assert (await client.post("/v1/exports/", json=export)).status_code == 201
    found = await client.post("/v3/memories/search/", json={"query": "met", "filters": {"user_id": planted.user_id}})
    assert found.json()["results"]


async def erase(client: httpx.AsyncClient, admin: AdminRows, user_id: str) -> dict[str, dict[str, int]]:
    response = await client.post("/v1/erase", json={"user_id": user_id})
    assert response.status_code == 200, response.text
    async with admin.admin.begin() as connection:
        await connection.exec_driver_sql("set local search_path = jobs")
        await connection.exec_driver_sql(RUN_LAST_LOOK_NOW_SQL)
    path = f"/v1/erase/{response.json()['receipt']['id']}"
    for _ in range(300):
        receipt: dict[str, dict[str, int]] = (await client.get(path)).json()["receipt"]
        if receipt["vacuumed_at"]:
            return receipt
        await asyncio.sleep(0.1)
    raise AssertionError(receipt)


def compact(data_dir: Path) -> None:
    command = [sys.executable, "-m", "app", "compact", "--data-dir", str(data_dir)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(data_dir, DATABASE_URL=""), capture_output=True, text=True, check=False
    )
    assert "Rewrote" in done.stdout, done.stderr


@pytest.mark.long
async def test_no_string_of_an_erased_user_is_in_a_row_in_redis_or_in_a_file(
    tmp_path: Path, redis: RedisServer
) -> None:
    data_dir = tmp_path / "data"
    with ModelServer() as models:
        model = {"LLM_BASE_URL": models.url, "LLM_API_KEY": "key", "LLM_MODEL": "any"}
        with serving(data_dir, DATABASE_URL="", REDIS_URL=redis.url, **model) as keepsake:
            client, project_id = await sign_in(keepsake)
            postgres = EmbeddedPostgres(data_dir)
            await postgres.start()
            place = Place(data_dir, redis, create_async_engine(postgres.url("postgres")))
            users = [Planted(project_id), Planted(project_id)]
            for user in users:
                await user.plant_rows(place.admin)
                await use(client, models, user)
            erased, spared = users
            await place.run("analyze")
            before = [await place.look_for(user) for user in users]
            for user, marks in zip(users, before, strict=True):
                assert len(user.markers) > 50
                assert marks.rows == user.markers
                assert marks.files == user.markers
                assert len(marks.redis) >= 2
            receipt = await erase(client, AdminRows(place.admin), erased.user_id)
            assert set(receipt["left"].values()) == {0}
            vacuumed = await place.look_for(erased)
            assert vacuumed.rows | vacuumed.redis == set()
            # A vacuum frees space without overwriting it, and Postgres alone tidies its own tables.
            await asyncio.to_thread(compact, data_dir)
            await place.run("vacuum full pg_catalog.pg_statistic")
            after, left = await place.look_for(erased), await place.look_for(spared)
            assert after.everywhere == set()
            assert left.rows == spared.markers
            assert len(left.files) == len(before[1].files)
            assert left.redis == before[1].redis
            await client.aclose()
            await place.admin.dispose()
            await postgres.stop()
