"""A project changes its embedder under load, and the process that rebuilds its vectors is killed in the middle."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.installation import Installation, Victim, running_installation, wait_until_ready

MEMORIES = 1500
CHANGE_SECONDS = 300
ENGLISH = "My sister is a doctor in a hospital"
SPANISH = "¿Qué profesión tiene mi hermana?"


@dataclass
class Load:
    """Adds and searches until it is told to stop. Only a process that was killed may fail a request."""

    client: httpx.AsyncClient
    project: str
    added: list[str] = field(default_factory=list)
    misses: int = 0
    refused: list[int] = field(default_factory=list)
    done: bool = False

    async def run(self) -> None:
        number = 0
        while not self.done:
            number += 1
            text = f"Box {number} is in room {number % 17}"
            try:
                await self.add(text)
                found = await search(self.client, "Who is a doctor in a hospital?")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            self.misses += ENGLISH not in found

    async def add(self, text: str) -> None:
        body = {"messages": text, "infer": False, "user_id": "ann"}
        answer = await self.client.post("/v3/memories/add/", json=body)
        if answer.status_code == 200:
            self.added.append(text)
        else:
            self.refused.append(answer.status_code)


async def search(client: httpx.AsyncClient, question: str) -> list[str]:
    body = {"query": question, "filters": {"user_id": "ann"}, "top_k": 50, "threshold": 0}
    answer = await client.post("/v3/memories/search/", json=body)
    return [each["memory"] for each in answer.raise_for_status().json()["results"]]


@asynccontextmanager
async def running(load: Load) -> AsyncIterator[None]:
    work = asyncio.create_task(load.run())
    yield
    load.done = True
    await work


@pytest.mark.long
@pytest.mark.parametrize(("split", "victim"), [(True, Victim.WORKER), (False, Victim.API)], ids=["worker", "server"])
async def test_killed_change_of_the_embedder_goes_on_by_itself(tmp_path: Path, split: bool, victim: Victim) -> None:
    async with running_installation(tmp_path / "data", split=split) as installation:
        await wait_until_ready(installation)
        headers = {"X-API-Key": await asyncio.to_thread(installation.create_key)}
        async with httpx.AsyncClient(base_url=installation.address, headers=headers, timeout=120) as client:
            [project] = (await client.get("/v1/projects")).json()["results"]
            load = Load(client, f"/v1/projects/{project['id']}")
            lines = [{"memory": f"Visited city {number}", "user_id": "ann"} for number in range(MEMORIES)]
            assert (await client.post("/v1/import", json=lines)).json()["complete"]
            await load.add(ENGLISH)
            await until_found(client, ENGLISH)
            async with running(load):
                changed = await client.patch(load.project, json={"embedder": "multilingual"})
                assert changed.status_code == 200, changed.text
                done = await kill_in_the_middle(installation, load, victim)
                await until_changed(installation, load)
                await asyncio.sleep(1)
            assert 0 < done < MEMORIES
            assert (load.misses, load.refused) == (0, [])
            assert (await search(client, SPANISH))[0] == ENGLISH
            for text in [*load.added[-20:], *random.Random(1).sample(load.added, 20), "Visited city 1499"]:
                assert text in await search(client, text), text
    assert installation.failed_starts == []


async def until_found(client: httpx.AsyncClient, text: str) -> None:
    """An import is answered before everything is indexed."""
    async with asyncio.timeout(CHANGE_SECONDS):
        while text not in await search(client, text):  # noqa: ASYNC110  # another process changes it
            await asyncio.sleep(0.2)


async def kill_in_the_middle(installation: Installation, load: Load, victim: Victim) -> int:
    """Returns how many memories the new index had."""
    async with asyncio.timeout(CHANGE_SECONDS):
        while not (done := (await read(load))["embedded_memories"]):  # noqa: ASYNC110  # another process changes it
            await asyncio.sleep(0.05)
    installation.kill(victim, random.Random(1))
    return int(done)


async def until_changed(installation: Installation, load: Load) -> None:
    async with asyncio.timeout(CHANGE_SECONDS):
        await wait_until_ready(installation)
        while (await read(load))["is_changing_embedder"]:  # noqa: ASYNC110  # another process changes it
            await asyncio.sleep(0.5)


async def read(load: Load) -> dict[str, Any]:
    found: dict[str, Any] = (await load.client.get(load.project)).raise_for_status().json()
    return found
