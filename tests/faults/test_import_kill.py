"""An import whose server is killed in the middle is sent again: it completes, and each line is there once."""

import asyncio
import json
import random
import uuid
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.faults.installation import Installation, Victim, running_installation, wait_until_ready
from tests.patience import PATIENCE_SECONDS

MEMORIES, MESSAGES = 4000, 400
TIME = "2024-05-01T12:00:00Z"
FINISH_SECONDS = 240
COUNT_MEMORIES_SQL = b"select count(*) from memories"
SELECT_STORED_SQL = b"""
select (select count(*) from memories where user_id = 'ann'), (select count(distinct content) from memories
    where user_id = 'ann'), (select count(*) from memory_history where event = 'ADD' and user_id = 'ann'),
  (select count(*) from profiles where user_id = 'ann'), (select count(*) from sessions where user_id = 'ann')
"""
SELECT_MESSAGES_SQL = b"select content from messages order by position"
SELECT_OTHER_USER_SQL = b"select id, content, updated_at from memories where user_id = 'bob'"
COUNT_PENDING_SQL = b"select count(*) from memories where state <> 'indexed'"


def lines() -> bytes:
    """Memories with an id and without one, and a session with its messages in between."""
    session: dict[str, object] = {"type": "session", "id": str(uuid.uuid4()), "user_id": "ann"}
    session |= {"privacy_mode": "normal", "created_at": TIME, "updated_at": TIME}
    message = {"type": "message", "session_id": session["id"], "role": "user", "created_at": TIME}
    given: list[dict[str, object]] = [{"memory": f"Visited city {n}", "user_id": "ann"} for n in range(MEMORIES)]
    for each in given[::2]:
        each["id"] = str(uuid.uuid4())
    messages = [{**message, "id": str(uuid.uuid4()), "content": f"Message {n}"} for n in range(MESSAGES)]
    middle = MEMORIES // 4
    return b"".join(
        json.dumps(each).encode() + b"\n" for each in [*given[:middle], session, *messages, *given[middle:]]
    )


@pytest.mark.long
async def test_killed_import_is_completed_by_the_same_request(tmp_path: Path) -> None:
    body = lines()
    async with running_installation(tmp_path / "data", split=False) as installation:
        await wait_until_ready(installation)
        headers = {"X-API-Key": await asyncio.to_thread(installation.create_key)}
        async with httpx.AsyncClient(base_url=installation.address, headers=headers, timeout=120) as client:
            other = {"messages": "I live in Rome", "infer": False, "user_id": "bob"}
            assert (await client.post("/v3/memories/add/", json=other)).status_code == 200
            with installation.connect() as postgres:
                before = postgres.execute(SELECT_OTHER_USER_SQL).fetchall()
                stored = await kill_in_the_middle(installation, client, postgres, body)
            await wait_until_ready(installation)
            report = (await client.post("/v1/import", content=body)).json()
            with installation.connect() as postgres:
                await until_indexed(postgres)
                counts = postgres.execute(SELECT_STORED_SQL).fetchone()
                messages = [row[0] for row in postgres.execute(SELECT_MESSAGES_SQL)]
                after = postgres.execute(SELECT_OTHER_USER_SQL).fetchall()
            found = await texts_found(client, "Visited city 7")
    assert 0 < stored < MEMORIES, "the server was killed in the middle of the import"
    assert (report["complete"], report["errors"]) == (True, [])
    assert report["already_there"]["memory"] == stored
    assert report["added"]["memory"] == MEMORIES - stored
    assert counts == (MEMORIES, MEMORIES, MEMORIES, 1, 1)
    assert messages == [f"Message {number}" for number in range(MESSAGES)]
    assert after == before
    assert found.count("Visited city 7") == 1


async def kill_in_the_middle(
    installation: Installation,
    client: httpx.AsyncClient,
    postgres: "psycopg.Connection[tuple[object, ...]]",
    body: bytes,
) -> int:
    """Returns how many memories of the file were stored."""
    sending = asyncio.create_task(client.post("/v1/import", content=body))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while count(postgres, COUNT_MEMORIES_SQL) < MEMORIES // 2:  # noqa: ASYNC110  # another process changes it
            await asyncio.sleep(0.01)
    installation.kill(Victim.API, random.Random(1))
    await asyncio.wait([sending])
    assert isinstance(sending.exception(), httpx.TransportError)
    return count(postgres, COUNT_MEMORIES_SQL) - 1


async def until_indexed(postgres: "psycopg.Connection[tuple[object, ...]]") -> None:
    """What was committed and not indexed when the server was killed is found by the sweep."""
    async with asyncio.timeout(FINISH_SECONDS):
        while count(postgres, COUNT_PENDING_SQL):  # noqa: ASYNC110  # another process changes it
            await asyncio.sleep(0.5)


def count(postgres: "psycopg.Connection[tuple[object, ...]]", statement: bytes) -> int:
    [[value]] = postgres.execute(statement).fetchall()
    return int(str(value))


async def texts_found(client: httpx.AsyncClient, query: str) -> list[str]:
    body = {"query": query, "filters": {"user_id": "ann"}, "top_k": 10, "threshold": 0}
    results: list[dict[str, Any]] = (await client.post("/v3/memories/search/", json=body)).json()["results"]
    return [each["memory"] for each in results]
