"""An erasure whose server is killed in the middle finishes after the restart, with a receipt that is right."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.faults.installation import Installation, Victim, running_installation, wait_until_ready
from tests.patience import PATIENCE_SECONDS

MEMORIES = 20_000
ADDED = 20
EMBEDDED = ADDED + 1
"""With the one of the chat."""
FINISH_SECONDS = 240
INSERT_MEMORIES_SQL = b"""
insert into memories (project_id, user_id, profile_id, namespace, kind, content, hash, state, categories)
select project_id, user_id, id, project_id::text || ':' || id::text, 'fact', user_id || ' ' || number,
  sha256((user_id || number)::bytea), 'indexed', '{}'
from profiles cross join generate_series(1, %s) as number where user_id = 'ann' or number <= 500
"""
COUNT_MEMORIES_SQL = b"select count(*) from memories where user_id = 'ann'"
SELECT_ERASURES_SQL = b"select id::text from erasures"
TABLES_WITH_USERS = ("memories", "memory_history", "events", "profiles", "sessions", "messages", "turns")

CHANGING = ("access_count", "last_accessed_at", "categories", "categorized_at", "categorize_after", "categorize_tries")
"""Searches and the job that assigns categories change them meanwhile."""


@pytest.mark.long
async def test_killed_erasure_finishes_and_its_receipt_counts_everything_once(tmp_path: Path) -> None:
    async with running_installation(tmp_path / "data", split=False) as installation:
        await wait_until_ready(installation)
        headers = {"X-API-Key": await asyncio.to_thread(installation.create_key)}
        async with httpx.AsyncClient(base_url=installation.address, headers=headers, timeout=60) as client:
            for user in ("ann", "bob"):
                await use(client, user)
            with installation.connect() as postgres:
                postgres.execute(INSERT_MEMORIES_SQL, [MEMORIES])
                before = rows_of(postgres, "bob")
                left = await kill_in_the_middle(installation, client, postgres)
                [[erasure_id]] = postgres.execute(SELECT_ERASURES_SQL).fetchall()
            receipt = await finished_receipt(installation, client, str(erasure_id))
            found = await memories_found(client, "bob")
        with installation.connect() as postgres:
            after = {user: rows_of(postgres, user) for user in ("ann", "bob")}
    assert 0 < left < MEMORIES, "the server was killed in the middle of the erasure"
    assert set(receipt["left"].values()) == {0}
    assert receipt["removed"] == receipt["found"]
    found_of = ("memories", "vectors", "sessions", "messages", "short_term_memory")
    assert {store: receipt["found"][store] for store in found_of} == {
        **{"memories": MEMORIES + EMBEDDED, "vectors": EMBEDDED, "sessions": 1, "messages": 2, "short_term_memory": 1}
    }
    assert not any(after["ann"].values())
    assert after["bob"] == before
    assert found == EMBEDDED


async def use(client: httpx.AsyncClient, user: str) -> None:
    for number in range(ADDED):
        body = {"messages": f"{user} visited city {number}", "infer": False, "user_id": user}
        assert (await client.post("/v3/memories/add/", json=body)).status_code == 200
    turn = (await client.post("/v1/chat", json={"message": f"I visited {user}'s town", "user_id": user})).json()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await client.get(f"/v1/event/{turn['event_id']}/")).json()["status"] != "SUCCEEDED":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert await memories_found(client, user) == EMBEDDED


async def memories_found(client: httpx.AsyncClient, user: str) -> int:
    """Those that the index has."""
    body = {"query": f"{user} visited a city", "filters": {"user_id": user}, "top_k": 100, "threshold": 0}
    results = (await client.post("/v3/memories/search/", json=body)).json()["results"]
    return sum("visited" in each["memory"] for each in results)


def rows_of(postgres: "psycopg.Connection[tuple[object, ...]]", user: str) -> dict[str, list[str]]:
    return {
        table: [
            str(row[0])
            for row in postgres.execute(
                f"select (to_jsonb(t) - %s::text[])::text from {table} t where user_id = %s order by 1".encode(),
                [[*CHANGING], user],
            )
        ]
        for table in TABLES_WITH_USERS
    }


async def kill_in_the_middle(
    installation: Installation, client: httpx.AsyncClient, postgres: "psycopg.Connection[tuple[object, ...]]"
) -> int:
    """Returns how many memories were left."""
    erasing = asyncio.create_task(client.post("/v1/erase", json={"user_id": "ann"}))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while count_memories(postgres) > MEMORIES - 2000:  # noqa: ASYNC110  # another process changes it
            await asyncio.sleep(0.01)
    installation.kill(Victim.API, random.Random(1))
    await asyncio.wait([erasing])
    assert isinstance(erasing.exception(), httpx.TransportError)
    return count_memories(postgres)


def count_memories(postgres: "psycopg.Connection[tuple[object, ...]]") -> int:
    [[count]] = postgres.execute(COUNT_MEMORIES_SQL).fetchall()
    return int(str(count))


async def finished_receipt(installation: Installation, client: httpx.AsyncClient, erasure_id: str) -> dict[str, Any]:
    await wait_until_ready(installation)
    async with asyncio.timeout(FINISH_SECONDS):
        while True:
            answer = await client.get(f"/v1/erase/{erasure_id}")
            receipt: dict[str, Any] = answer.json()["receipt"]
            if receipt["vacuumed_at"]:
                return receipt
            await asyncio.sleep(0.5)
