"""The server of Milvus is killed under load, goes away and comes back. What was acknowledged is found afterwards."""

import asyncio
import itertools
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.adapters.vectors.milvus import connect_milvus
from app.core.errors import Unavailable, UpstreamFailed
from tests.contracts.milvus import MilvusServer
from tests.contracts.vector_index import NamespaceEntries
from tests.e2e.server import ROOT, KeepsakeServer, environment, serving
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.long
USERS = ("ann", "ben", "cid")
WHOLE_SECONDS = 180


@asynccontextmanager
async def milvus_process(folder: Path) -> AsyncIterator[MilvusServer]:
    await asyncio.to_thread(folder.mkdir)
    server = MilvusServer(folder)
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def client_of(keepsake: KeepsakeServer, data_dir: Path, **settings: str) -> AsyncIterator[httpx.AsyncClient]:
    command = [sys.executable, "-m", "app", "keys", "create"]
    values = environment(data_dir, **settings)
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=values, capture_output=True, text=True, timeout=120
    )
    headers = {"X-API-Key": done.stdout.split()[-1]}
    async with httpx.AsyncClient(base_url=keepsake.address, headers=headers, timeout=60) as client:
        yield client


async def add_until(stop: asyncio.Event, client: httpx.AsyncClient, user: str, acknowledged: dict[str, str]) -> None:
    for number in itertools.count():
        if stop.is_set():
            return
        text = f"{user} owns the lamp number {number} of the shelf {uuid.uuid4().hex[:8]}"
        response = await client.post("/v3/memories/add/", json={"messages": text, "user_id": user, "infer": False})
        if response.status_code == 200:
            acknowledged[str(response.json()["results"][0]["id"])] = text
        await asyncio.sleep(0.02)


async def is_found(client: httpx.AsyncClient, memory_id: str, text: str) -> bool:
    body = {"query": text, "filters": {"user_id": text.split()[0]}, "top_k": 5, "threshold": 0}
    response = await client.post("/v3/memories/search/", json=body)
    return response.status_code == 200 and memory_id in {each["id"] for each in response.json()["results"]}


async def wait_until_ready(client: httpx.AsyncClient, *, ready: bool) -> dict[str, str]:
    until = time.monotonic() + WHOLE_SECONDS
    while ((report := (await client.get("/v1/ready")).json())["status"] == "ready") is not ready:
        assert time.monotonic() < until, report
        await asyncio.sleep(0.3)
    checks: dict[str, str] = report["checks"]
    return checks


async def test_kills_under_load_lose_nothing_acknowledged(tmp_path: Path) -> None:
    async with milvus_process(tmp_path / "milvus") as milvus:
        settings = {"VECTOR_STORE": "milvus", "MILVUS_URL": milvus.url}
        with serving(tmp_path / "data", **settings) as keepsake:
            async with client_of(keepsake, tmp_path / "data", **settings) as client:
                acknowledged: dict[str, str] = {}
                stop = asyncio.Event()
                writers = [asyncio.create_task(add_until(stop, client, user, acknowledged)) for user in USERS]
                for _ in range(2):
                    await asyncio.sleep(4)
                    milvus.kill()
                    assert (await wait_until_ready(client, ready=False))["index"] == "unavailable"
                    refused = await client.post(
                        "/v3/memories/search/", json={"query": "lamps", "filters": {"user_id": "nobody"}}
                    )
                    assert refused.status_code in (200, 503), refused.text
                    await asyncio.to_thread(milvus.start)
                    await wait_until_ready(client, ready=True)
                stop.set()
                await asyncio.gather(*writers)
                assert len(acknowledged) > 100
                until = time.monotonic() + WHOLE_SECONDS
                missing = acknowledged
                while missing := {id: text for id, text in missing.items() if not await is_found(client, id, text)}:
                    assert time.monotonic() < until, missing
                    await asyncio.sleep(0.5)


async def test_connection_that_is_lost_is_opened_again(tmp_path: Path) -> None:
    async with milvus_process(tmp_path / "milvus") as milvus:
        store = await connect_milvus(milvus.url, None, database=None, timeout_seconds=2)
        source = NamespaceEntries(uuid.uuid4(), "home")
        await store.create_collection("lost", 8)
        entries = source.entries(50)
        await store.write("lost", entries)
        milvus.kill()
        with pytest.raises(Unavailable, match="Check MILVUS_URL and that the server is running"):
            await store.has_collection("lost")
        await asyncio.to_thread(milvus.start)
        found: set[uuid.UUID] = set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found) < len(entries):
                try:
                    found = await store.find_existing("lost", [entry.id for entry in entries])
                except (Unavailable, UpstreamFailed):
                    await asyncio.sleep(0.2)
        await store.close()
