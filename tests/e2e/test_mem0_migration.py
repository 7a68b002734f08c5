"""mem0's script `oss-to-platform-migrate.sh` with an API key: its calls and their order, over HTTP."""

import hashlib
import re
from typing import Any

import httpx
import pytest

from tests.conftest import KeyHolder

Record = dict[str, Any]
SOURCE = {"sdk": "python", "vector_store": "qdrant", "collection": "mem0"}
ADDRESS = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
OWNERS = [{"user_id": "ana"}, {"user_id": "ben", "run_id": "r1"}, {"agent_id": "helper"}]


def exported_record(number: int) -> Record:
    """What the script exports of a point in Qdrant. The owners are users, a run of a user, and an agent."""
    text = f"Number {number} lives in house {number * 7}"
    return {
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "memory": text,
        "hash": hashlib.sha256(text.encode()).hexdigest(),
        "created_at": f"2025-03-{number % 28 + 1:02d}T08:30:00.123456-07:00",
        "source": "python_oss_qdrant",
        "metadata": {"topic": "homes", "number": number},
        **OWNERS[number % len(OWNERS)],
    }


def import_payload(record: Record) -> Record:
    key = ":".join([*SOURCE.values(), record["id"]])
    added = {
        "mem0_migration_source": record["source"],
        "mem0_migration_collection": SOURCE["collection"],
        "mem0_migration_local_id": record["id"],
        "mem0_migration_local_hash": record["hash"],
        "mem0_migration_import_key": hashlib.sha256(key.encode()).hexdigest(),
    }
    return {
        "messages": [{"role": "user", "content": record["memory"]}],
        "metadata": {**record["metadata"], **added},
        "infer": False,
        "source": "migration",
        **{name: record[name] for name in ("user_id", "agent_id", "run_id") if name in record},
        "timestamp": 1741000000 + record["metadata"]["number"],
    }


async def check_key(client: httpx.AsyncClient) -> None:
    """The script goes on only if the key belongs to an e-mail address."""
    ping = await client.get("/v1/ping/")
    assert ADDRESS.match(ping.json()["user_email"])


async def list_scope(client: httpx.AsyncClient, field: str, value: str) -> list[Record]:
    rows: list[Record] = []
    page = 1
    while True:
        body = {"filters": {field: value}, "source": "migration"}
        response = await client.post(f"/v3/memories/?page={page}&page_size=100", json=body)
        assert response.status_code == 200, response.text
        rows += response.json()["results"]
        if not response.json()["next"]:
            return rows
        page += 1


async def list_all(client: httpx.AsyncClient) -> list[Record]:
    """Of each owner, by the first of its ids, as the script asks for them."""
    scopes = [next(iter(owner.items())) for owner in OWNERS]
    return [row for field, value in scopes for row in await list_scope(client, field, value)]


async def migrate(client: httpx.AsyncClient, records: list[Record]) -> dict[str, int]:
    """Lists what is there, and adds the records whose import key is not among it."""
    await check_key(client)
    existing = {row["metadata"].get("mem0_migration_import_key"): row["metadata"] for row in await list_all(client)}
    summary = {"imported": 0, "skipped": 0, "changed": 0}
    for record in records:
        payload = import_payload(record)
        known = existing.get(payload["metadata"]["mem0_migration_import_key"])
        if known is None:
            added = await client.post("/v3/memories/add/", json=payload)
            assert (added.status_code, added.json()["status"]) == (200, "SUCCEEDED")
            summary["imported"] += 1
        else:
            summary["skipped" if known["mem0_migration_local_hash"] == record["hash"] else "changed"] += 1
    return summary


@pytest.mark.parametrize("size", [30, pytest.param(1000, marks=pytest.mark.long)])
async def test_migration_adds_nothing_twice(client: httpx.AsyncClient, size: int) -> None:
    records = [exported_record(number) for number in range(size)]
    assert await migrate(client, records) == {"imported": size, "skipped": 0, "changed": 0}
    rows = await list_all(client)
    assert {row["memory"] for row in rows} == {record["memory"] for record in records}
    assert await migrate(client, records) == {"imported": 0, "skipped": size, "changed": 0}
    assert [row["id"] for row in await list_all(client)] == [row["id"] for row in rows]
    number = 7
    (moved,) = [row for row in rows if row["metadata"]["number"] == number]
    assert moved["created_at"] == "2025-03-03T11:06:47.000000Z"
    assert moved["metadata"] == import_payload(records[number])["metadata"]


async def test_interrupted_migration_continues_where_it_stopped(client: httpx.AsyncClient) -> None:
    records = [exported_record(number) for number in range(12)]
    assert await migrate(client, records[:5]) == {"imported": 5, "skipped": 0, "changed": 0}
    assert await migrate(client, records) == {"imported": 7, "skipped": 5, "changed": 0}
    changed = [{**records[0], "hash": "another"}, *records[1:]]
    assert await migrate(client, changed) == {"imported": 0, "skipped": 11, "changed": 1}
    assert len(await list_all(client)) == len(records)


async def test_two_records_with_the_same_words_become_one_memory(client: httpx.AsyncClient) -> None:
    """The script adds the second record again in each run. It stays one memory."""
    twin = {**exported_record(0), "id": "00000000-0000-4000-8000-999999999999"}
    records = [exported_record(0), twin]
    await migrate(client, records)
    await migrate(client, records)
    assert [row["memory"] for row in await list_all(client)] == [twin["memory"]]


async def test_migration_adds_nothing_twice_where_lists_leave_episodes_out(
    client: httpx.AsyncClient, key_holder: KeyHolder
) -> None:
    """The script cannot see what it imported, so it adds everything again, and every memory is there already."""
    project = await client.patch(f"/v1/projects/{key_holder.project_id}", json={"list_episodes": False})
    assert project.status_code == 200, project.text
    records = [exported_record(number) for number in range(3)]
    for _ in range(2):
        assert (await migrate(client, records))["imported"] == len(records)
    await client.patch(f"/v1/projects/{key_holder.project_id}", json={"list_episodes": True})
    assert len(await list_all(client)) == len(records)
