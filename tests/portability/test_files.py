"""Memories out of a project into a file and into another, and in from what mem0's open-source library has."""

import datetime as dt
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.database.database import Database
from app.core.errors import BadRequest
from app.core.resources import Resources
from app.memory.indexing.repair import sweep
from app.portability.export import export_memories
from app.portability.restore import ImportResult, import_memories
from tests.conftest import MakeKey, SignUp


def silent(done: int, total: int) -> None:
    assert done <= total


def of_mem0(number: int) -> dict[str, Any]:
    """As `Memory.get_all()` gives it."""
    return {
        "id": str(uuid.uuid4()),
        "memory": f"Likes tea number {number} ☕",
        "hash": "not looked at",
        "metadata": {"place": number, "nested": {"deep": [1, None, "ü"]}} if number % 2 else None,
        "created_at": f"2024-07-{number % 28 + 1:02}T01:02:03.456789-07:00",
        "updated_at": f"2024-08-{number % 28 + 1:02}T01:02:03+00:00" if number % 3 else None,
        "user_id": f"user-{number % 7}",
        **({"agent_id": "bot"} if number % 5 == 0 else {}),
        **({"run_id": "run-1"} if number % 4 == 0 else {}),
        **({"actor_id": "anna", "role": "assistant"} if number % 6 == 0 else {}),
    }


def written(path: Path) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["id"]: line for line in lines}


async def test_a_thousand_memories_of_mem0_come_in_and_go_out_whole(
    database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    theirs = [of_mem0(number) for number in range(1000)]
    (tmp_path / "mem0.json").write_text(json.dumps({"results": theirs}))
    assert await import_memories(database, project_id, tmp_path / "mem0.json", silent) == ImportResult(1000, 0)
    assert await export_memories(database, project_id, tmp_path / "out.jsonl", silent) == 1000
    ours = written(tmp_path / "out.jsonl")
    for each in theirs:
        found = ours[each["id"]]
        assert found["memory"] == each["memory"]
        for name in ("user_id", "agent_id", "run_id"):
            assert found[name] == each.get(name)
        assert found["metadata"] == {**(each["metadata"] or {}), **({"actor_id": "anna"} if "actor_id" in each else {})}
        assert found["role"] == each.get("role", "user")
        assert same_moment(found["created_at"], each["created_at"])
        assert same_moment(found["updated_at"], each["updated_at"] or each["created_at"])


def same_moment(one: str, other: str) -> bool:
    return dt.datetime.fromisoformat(one) == dt.datetime.fromisoformat(other)


async def test_a_second_import_changes_nothing(database: Database, project_id: uuid.UUID, tmp_path: Path) -> None:
    source = tmp_path / "mem0.json"
    source.write_text(json.dumps([of_mem0(number) for number in range(20)]))
    assert await import_memories(database, project_id, source, silent) == ImportResult(20, 0)
    assert await import_memories(database, project_id, source, silent) == ImportResult(0, 20)


async def test_points_of_a_vector_store_are_read_too(
    client: httpx.AsyncClient, database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    point = {
        "id": str(uuid.uuid4()),
        "vector": [0.1],
        "payload": {"data": "Likes tea", "hash": "x", "created_at": "2024-07-01T00:00:00", "user_id": "a", "mood": 7},
    }
    (tmp_path / "points.jsonl").write_text(json.dumps(point) + "\n")
    await import_memories(database, project_id, tmp_path / "points.jsonl", silent)
    found = (await client.get(f"/v1/memories/{point['id']}/")).json()
    assert (found["memory"], found["metadata"], found["user_id"]) == ("Likes tea", {"mood": 7}, "a")
    assert found["created_at"].startswith("2024-07-01T00:00:00")


async def test_metadata_in_a_point_may_be_called_as_anything_of_ours(
    database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    own = {
        "kind": "recipe",
        "categories": "food",
        "importance": "high",
        "metadata": {"a": 1},
        "memory": 16,
        "profile": 2,
    }
    point = {"id": str(uuid.uuid4()), "payload": {"data": "Likes tea", "user_id": "a", "role": "tool", **own}}
    (tmp_path / "points.json").write_text(json.dumps({"points": [point]}))
    await import_memories(database, project_id, tmp_path / "points.json", silent)
    await export_memories(database, project_id, tmp_path / "out.jsonl", silent)
    [found] = written(tmp_path / "out.jsonl").values()
    assert (found["memory"], found["metadata"]) == ("Likes tea", {**own, "role": "tool"})
    assert (found["kind"], found["role"], found["profile"]) == ("fact", "user", None)


async def test_an_export_goes_into_another_project_of_the_same_house(
    client: httpx.AsyncClient,
    database: Database,
    project_id: uuid.UUID,
    sign_up: SignUp,
    make_key: MakeKey,
    resources: Resources,
    tmp_path: Path,
) -> None:
    said = {"messages": "I like tea", "user_id": "anna", "infer": False, "metadata": {"a": 1}, "immutable": True}
    await client.post("/v3/memories/add/", json={**said, "expiration_date": "2199-01-01"})
    work = (await client.post("/v1/profiles", json={"user_id": "anna", "name": "Work"})).json()
    more = {"messages": "I use Rust", "user_id": "anna", "infer": False, "profile_id": work["id"]}
    await client.post("/v3/memories/add/", json=more)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    await export_memories(database, project_id, first, silent)
    other = (await sign_up()).project_id
    for expected in (ImportResult(2, 0), ImportResult(0, 2)):
        assert await import_memories(database, other, first, silent) == expected
    await export_memories(database, other, second, silent)
    before, after = written(first).values(), written(second).values()
    assert [{**each, "id": None} for each in before] == [{**each, "id": None} for each in after]
    assert {each["profile"] for each in after} == {None, "Work"}
    await sweep(resources, older_than_seconds=0)
    there = (await make_key(project=other)).client
    asked = {"query": "tea", "filters": {"user_id": "anna"}}
    [found] = (await there.post("/v3/memories/search/", json=asked)).json()["results"][:1]
    assert found["memory"] == "I like tea"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ('{"memory": "Likes tea"}', "--user-id"),
        ('{"memory": "x", "user_id": "a"}\n{"user_id": "a"}', "Line 2"),
        ('{"memory": "x", "user_id": "a"}\nnonsense', "Line 2"),
        ('{"memory": "x", "user_id": "a", "created_at": "yesterday"}', "date"),
        ("[1]", "not a memory"),
        ('{"memory": "Likes \\u0000 tea", "user_id": "a"}', "NUL"),
        ('{"memory": "x", "user_id": "a", "metadata": {"x": ["\\u0000"]}}', "NUL"),
        ('{"memory": "half \\ud800", "user_id": "a"}', "whole characters"),
        ('{"memory": "x", "user_id": "a", "metadata": {"x": NaN}}', "finite"),
        ('{"memory": "x", "agent_id": "' + "a" * 501 + '"}', "500"),
        ('{"memory": "x", "user_id": "a", "importance": 7}', "number"),
        ("[" * 100_000, "not JSON"),
        ('{"memory": "\\u0000", "user_id": "a"}', "character"),
        ('{"memory": "\\ud800", "user_id": "a"}', "character"),
        ('{"memory": "x", "user_id": "\\ud800"}', "character"),
        ('{"memory": "x", "user_id": "a", "metadata": {"a": NaN}}', "number"),
        ('{"memory": "x", "user_id": "a", "metadata": {"\\ud800": 1}}', "character"),
        ('{"memory": "x", "user_id": "a", "created_at": 1e300}', "date"),
        ('{"memory": "x", "user_id": "a", "importance": 5}', "number"),
        ('{"memory": "x", "user_id": "a", "access_count": 1e12}', "number"),
        ('{"memory": "x", "user_id": "a", "accessed_at": ["soon"]}', "date"),
        ('{"memory": "x", "user_id": "a", "replaced_by": "y"}', "cannot be read"),
    ],
)
async def test_a_line_that_cannot_be_read_leaves_nothing_half_done(
    lines: str, reason: str, database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    (tmp_path / "wrong.jsonl").write_text(lines)
    with pytest.raises(BadRequest, match=reason):
        await import_memories(database, project_id, tmp_path / "wrong.jsonl", silent)
    assert await export_memories(database, project_id, tmp_path / "out.jsonl", silent) == 0


async def test_a_user_named_beside_the_file_owns_what_is_nobodys(
    database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text('{"memory": "Likes tea"}\n{"memory": "Likes it hot", "agent_id": "bot"}\n')
    await import_memories(database, project_id, tmp_path / "in.jsonl", silent, user_id="anna")
    await export_memories(database, project_id, tmp_path / "out.jsonl", silent)
    found = {each["memory"]: each["user_id"] for each in written(tmp_path / "out.jsonl").values()}
    assert found == {"Likes tea": "anna", "Likes it hot": None}


async def test_an_export_is_for_its_owners_eyes(database: Database, project_id: uuid.UUID, tmp_path: Path) -> None:
    await export_memories(database, project_id, tmp_path / "out.jsonl", silent)
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o077 == 0


async def test_an_export_into_no_folder_says_so(database: Database, project_id: uuid.UUID, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"There is no folder .*\. Create it"):
        await export_memories(database, project_id, tmp_path / "nowhere" / "out.jsonl", silent)
