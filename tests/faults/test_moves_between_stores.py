"""A served installation moves from one vector store to the next with `reindex`, and back, while clients go on."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.contracts.chroma import chroma_process
from tests.e2e.server import ROOT, environment, serving

THINGS = ("marbles", "boats", "kites", "drums", "lamps")
READY_SECONDS = 60


@dataclass
class Owner:
    """One user and what the memory should know of them."""

    client: httpx.AsyncClient
    memories: dict[str, str] = field(default_factory=dict)
    """Text by id."""
    deleted: list[str] = field(default_factory=list)

    async def add(self, text: str) -> str:
        body = {"messages": text, "infer": False, "user_id": "ann"}
        answer = (await self.client.post("/v3/memories/add/", json=body)).raise_for_status().json()
        memory_id = str((answer["results"] if isinstance(answer, dict) else answer)[0]["id"])
        self.memories[memory_id] = text
        return memory_id

    async def change(self, memory_id: str, text: str) -> None:
        (await self.client.put(f"/v1/memories/{memory_id}/", json={"text": text})).raise_for_status()
        self.memories[memory_id] = text

    async def delete(self, memory_id: str) -> None:
        (await self.client.delete(f"/v1/memories/{memory_id}/")).raise_for_status()
        self.deleted.append(self.memories.pop(memory_id))

    async def search(self, text: str) -> list[str]:
        body = {"query": text, "filters": {"user_id": "ann"}, "top_k": 3}
        answer = (await self.client.post("/v3/memories/search/", json=body)).raise_for_status().json()
        return [each["memory"] for each in answer["results"]]

    async def wait_until_all_is_found(self) -> None:
        until = time.monotonic() + READY_SECONDS
        while missing := await self.missing():
            assert time.monotonic() < until, missing
            await asyncio.sleep(0.2)

    async def missing(self) -> list[str]:
        return [text for text in self.memories.values() if (await self.search(text))[:1] != [text]]


@asynccontextmanager
async def as_owner(address: str, key: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address, headers={"X-API-Key": key}, timeout=30) as client:
        yield client


async def run_command(data_dir: Path, *arguments: str, **settings: str) -> str:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", *arguments),
        cwd=ROOT,
        env=environment(data_dir, **settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await command.communicate()
    assert command.returncode == 0, output.decode()
    return output.decode()


async def wait_until_complete(client: httpx.AsyncClient) -> None:
    until = time.monotonic() + READY_SECONDS
    while (ready := (await client.get("/v1/ready")).json())["status"] != "ready":
        assert time.monotonic() < until, ready
        await asyncio.sleep(0.2)


async def write_while(owner: Owner, work: "asyncio.Task[str]", store: str) -> int:
    """Returns the number of searches, each of which found what it should. What is deleted meanwhile stays deleted."""
    first = next(iter(owner.memories))
    searches = written = 0
    while not work.done():
        assert (await owner.search(owner.memories[first]))[:1] == [owner.memories[first]]
        searches += 1
        await asyncio.sleep(0.1)
        if written < 5:
            await owner.add(f"Added number {written} while {store} was filled")
            written += 1
    await work
    return searches


async def write_between(owner: Owner, store: str) -> None:
    """After `reindex`, before the server changes to the new store."""
    ids = list(owner.memories)
    await owner.add(f"Added before the start with {store}")
    await owner.change(ids[1], f"Changed to a {store} of submarines")
    await owner.delete(ids[2])


@pytest.mark.long
async def test_installation_moves_through_all_stores_and_back(tmp_path: Path, milvus_lite: str) -> None:
    data_dir = tmp_path / "data"
    async with chroma_process(tmp_path / "chroma") as chroma:
        stores = {
            "edge": {"VECTOR_STORE": "edge"},
            "pgvector": {"VECTOR_STORE": "pgvector"},
            "chroma": {"VECTOR_STORE": "chroma", "CHROMA_URL": chroma.url},
            "milvus": {"VECTOR_STORE": "milvus", "MILVUS_URL": milvus_lite},
        }
        route = ["edge", "pgvector", "chroma", "milvus", "chroma", "edge"]
        memories: dict[str, str] = {}
        key = ""
        for store, following in zip(route, [*route[1:], None], strict=True):
            with serving(data_dir, **stores[store]) as keepsake:
                key = key or (await run_command(data_dir, "keys", "create", **stores[store])).split()[-1]
                async with as_owner(keepsake.address, key) as client:
                    owner = Owner(client, memories)
                    await wait_until_complete(client)
                    if not memories:
                        for number in range(30):
                            await owner.add(f"I own {number} {THINGS[number % 5]}")
                    await owner.wait_until_all_is_found()
                    if following is not None:
                        work = asyncio.create_task(run_command(data_dir, "reindex", **stores[following]))
                        assert await write_while(owner, work, following) > 0
                        await write_between(owner, following)
                assert keepsake.stop() == 0, keepsake.output[-5:]
                assert "index.repair_started" not in "".join(keepsake.output), "the new index was whole"
