"""Everything is on a disk that fills up. Nothing acknowledged is lost, reading goes on, and work resumes by itself."""

import asyncio
import itertools
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from app.adapters.embedded_postgres import EmbeddedPostgres
from tests.conftest import PASSWORD
from tests.e2e.server import KeepsakeServer, serving
from tests.faults.small_disk import SmallDisk, small_disk
from tests.patience import PATIENCE_SECONDS

USERS = tuple(f"user-{number}" for number in range(4))


@dataclass
class MixedLoad:
    """Clients that add, extract and search until they are stopped, and remember what was acknowledged."""

    client: httpx.AsyncClient
    texts: dict[str, set[str]] = field(default_factory=lambda: {user: set() for user in USERS})
    events: list[str] = field(default_factory=list)
    refusals: list[httpx.Response] = field(default_factory=list)
    searches: list[int] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def add(self, user: str, *, infer: bool = False) -> httpx.Response:
        text = f"I own {next(self.numbers)} marbles of kind {uuid.uuid4().hex}"
        body = {"messages": [{"role": "user", "content": text}], "user_id": user, "infer": infer}
        response = await self.client.post("/v3/memories/add/", json=body)
        if response.status_code == 200 and infer:
            self.events.append(response.json()["event_id"])
        elif response.status_code == 200:
            self.texts[user].add(text)
        else:
            self.refusals.append(response)
        return response

    async def search(self, user: str) -> None:
        body = {"query": "marbles", "filters": {"user_id": user}, "top_k": 5}
        response = await self.client.post("/v3/memories/search/", json=body)
        self.searches.append(response.status_code)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        loops = [asyncio.create_task(self._loop(user)) for user in USERS]
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
            results = await asyncio.gather(*loops, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in results), results

    async def _loop(self, user: str) -> None:
        for turn in itertools.count():
            await self.add(user, infer=turn % 4 == 0)
            await self.search(user)
            await asyncio.sleep(0.01)

    async def found(self, user: str) -> set[str]:
        found, page = set[str](), 1
        while page:
            body = {"filters": {"user_id": user}}
            answer = (await self.client.post(f"/v3/memories/?page={page}&page_size=200", json=body)).json()
            found |= {each["memory"] for each in answer["results"]}
            page = page + 1 if answer["next"] else 0
        return found

    async def is_found_first(self, user: str, text: str) -> bool:
        body = {"query": text, "filters": {"user_id": user}, "top_k": 1}
        results = (await self.client.post("/v3/memories/search/", json=body)).json()["results"]
        return bool(results) and results[0]["memory"] == text

    async def event_states(self) -> set[str]:
        return {(await self.client.get(f"/v1/event/{event}/")).json()["status"] for event in self.events}


@asynccontextmanager
async def load_on(keepsake: KeepsakeServer) -> AsyncIterator[MixedLoad]:
    async with httpx.AsyncClient(base_url=keepsake.address, timeout=60) as client:
        account = {"email": f"{uuid.uuid4().hex[:12]}@example.com", "password": PASSWORD}
        tokens = (await client.post("/v1/auth/signup", json=account)).json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        yield MixedLoad(client)


async def read_readiness(client: httpx.AsyncClient) -> tuple[int, dict[str, Any]]:
    response = await client.get("/v1/ready")
    return response.status_code, response.json()


async def check_that_all_is_there(load: MixedLoad, sample: int) -> None:
    async with asyncio.timeout(90):
        while (await read_readiness(load.client))[1]["status"] != "ready":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
        while await load.event_states() - {"SUCCEEDED"}:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    for user, texts in load.texts.items():
        assert await load.found(user) >= texts
        for text in sorted(texts)[:sample]:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await load.is_found_first(user, text):  # noqa: ASYNC110
                    await asyncio.sleep(0.5)


async def fill_and_free(keepsake: KeepsakeServer, disk: SmallDisk, load: MixedLoad, seconds: float) -> None:
    load.refusals.clear()
    load.searches.clear()
    async with load.running():
        await asyncio.sleep(1)
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(seconds)
        assert keepsake.process.poll() is None, keepsake.output[-5:]
        status, ready = await read_readiness(load.client)
        assert ready["checks"]["disk_space"] == "unavailable"
        assert ready["status"] == ("degraded" if status == 200 else "not ready")
    refused = {(each.status_code, each.json()["code"], each.headers.get("Retry-After")) for each in load.refusals}
    assert (503, "disk_full", "30") in refused
    assert {status for status, _, _ in refused} == {503}, refused
    assert all(each.headers.get("Retry-After") for each in load.refusals), refused
    assert set(load.searches) == {200}
    disk.make_room()


async def test_full_disk_refuses_writes_answers_searches_and_resumes_by_itself(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 288) as disk, serving(disk.folder / "data") as keepsake:
        async with load_on(keepsake) as load:
            await fill_and_free(keepsake, disk, load, seconds=1.5)
            await check_that_all_is_there(load, sample=3)
            assert (await load.add(USERS[0])).status_code == 200
        assert keepsake.stop(signal.SIGTERM) == 0, keepsake.output[-5:]


@pytest.mark.long
async def test_disk_that_fills_up_again_and_again_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 480) as disk, serving(disk.folder / "data") as keepsake:
        async with load_on(keepsake) as load:
            for seconds in (2, 10, 20):
                await fill_and_free(keepsake, disk, load, seconds=seconds)
                await check_that_all_is_there(load, sample=5)
        assert keepsake.stop(signal.SIGTERM) == 0, keepsake.output[-5:]


@pytest.mark.long
async def test_postgres_that_cannot_write_its_log_is_started_again_when_space_returns(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 288) as disk, serving(disk.folder / "data") as keepsake:
        async with load_on(keepsake) as load:
            async with load.running():
                await asyncio.sleep(2)
            await asyncio.to_thread(disk.fill)
            with pytest.raises(psycopg.Error):
                await write_until_refused(disk.folder / "data")
            for user in USERS:
                assert (answer := await load.add(user)).status_code == 503, answer.text
            assert all(each.headers.get("Retry-After") for each in load.refusals)
            disk.make_room()
            await check_that_all_is_there(load, sample=5)
        assert keepsake.stop(signal.SIGTERM) == 0, keepsake.output[-5:]


async def write_until_refused(data_dir: Path) -> None:
    """Until Postgres has used up its last segment of the write-ahead log, which ends it."""
    url = EmbeddedPostgres(data_dir).url("postgres").replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
        for _ in range(100):
            await admin.execute("select pg_logical_emit_message(false, '', repeat('x', 1000000), true)")
            await admin.execute("select pg_switch_wal()")
