"""Export to a file, import into another project, and import from mem0's open-source library."""

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.database.database import Database
from app.core.resources import Resources
from app.memory.indexing import sweep
from app.portability.exports.read_rows import DataScope
from app.portability.imports.parse import ValueParser
from app.portability.imports.run import Import
from tests.conftest import MakeKey, SignUp
from tests.portability.files import Json, export_file, import_file, read_export

COUNT_IMPORTED_SQL = text("""
select (select count(*) from memories where project_id = :project), (select count(distinct content) from memories
    where project_id = :project), (select count(*) from memory_history where project_id = :project),
  (select count(*) from profiles where project_id = :project)
""")


def mem0_memory(number: int) -> dict[str, Any]:
    """A memory in the format of `Memory.get_all()`."""
    return {
        "id": str(uuid.uuid4()),
        "memory": f"Likes tea number {number} ☕",
        "hash": "ignored",
        "metadata": {"place": number, "nested": {"deep": [1, None, "ü"]}} if number % 2 else None,
        "created_at": f"2024-07-{number % 28 + 1:02}T01:02:03.456789-07:00",
        "updated_at": f"2024-08-{number % 28 + 1:02}T01:02:03+00:00" if number % 3 else None,
        "user_id": f"user-{number % 7}",
        **({"agent_id": "bot"} if number % 5 == 0 else {}),
        **({"run_id": "run-1"} if number % 4 == 0 else {}),
        **({"actor_id": "anna", "role": "assistant"} if number % 6 == 0 else {}),
    }


async def test_mem0_memories_survive_import_and_export_unchanged(
    database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    theirs = [mem0_memory(number) for number in range(1000)]
    (tmp_path / "mem0.json").write_text(json.dumps({"results": theirs}))
    done = await import_file(database, project_id, tmp_path / "mem0.json")
    assert (done.added, done.problems) == ({"memory": 1000}, [])
    assert (await export_file(database, project_id, tmp_path / "out.jsonl"))["memory"] == 1000
    ours = read_export(tmp_path / "out.jsonl")
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


async def test_second_import_changes_nothing(database: Database, project_id: uuid.UUID, tmp_path: Path) -> None:
    source = tmp_path / "mem0.json"
    source.write_text(json.dumps([mem0_memory(number) for number in range(20)]))
    first, second = [await import_file(database, project_id, source) for _ in range(2)]
    assert (first.added["memory"], first.already_there["memory"]) == (20, 0)
    assert (second.added["memory"], second.already_there["memory"]) == (0, 20)


async def test_import_that_ended_between_two_batches_is_completed_by_another_one(
    database: Database, project_id: uuid.UUID
) -> None:
    """Half of the memories have an id of their own."""
    given: list[Json] = [{"memory": f"Visited city {number}", "user_id": "ann"} for number in range(450)]
    for each in given[::2]:
        each["id"] = str(uuid.uuid4())
    lines = [json.dumps(each).encode() + b"\n" for each in given]

    async def cut_off() -> AsyncIterator[bytes]:
        yield b"".join(lines[:300])
        raise ConnectionError

    async def whole() -> AsyncIterator[bytes]:
        yield b"".join(lines)

    scope = DataScope(project_id, None)
    with pytest.raises(ConnectionError):
        await Import(database, scope, ValueParser()).run(cut_off())
    done = await Import(database, scope, ValueParser()).run(whole())
    assert (done.already_there["memory"], done.added["memory"]) == (200, 250)
    async with database.transaction(project_id) as tx:
        counts = (await tx.execute(COUNT_IMPORTED_SQL, {"project": project_id})).one()
    assert tuple(counts) == (450, 450, 450, 1)


async def test_vector_store_points_can_be_imported(
    client: httpx.AsyncClient, database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    point = {
        "id": str(uuid.uuid4()),
        "vector": [0.1],
        "payload": {"data": "Likes tea", "hash": "x", "created_at": "2024-07-01T00:00:00", "user_id": "a", "mood": 7},
    }
    (tmp_path / "points.jsonl").write_text(json.dumps(point) + "\n")
    await import_file(database, project_id, tmp_path / "points.jsonl")
    found = (await client.get(f"/v1/memories/{point['id']}/")).json()
    assert (found["memory"], found["metadata"], found["user_id"]) == ("Likes tea", {"mood": 7}, "a")
    assert found["created_at"].startswith("2024-07-01T00:00:00")


async def test_point_metadata_can_have_the_names_of_our_fields(
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
    await import_file(database, project_id, tmp_path / "points.json")
    await export_file(database, project_id, tmp_path / "out.jsonl")
    [found] = read_export(tmp_path / "out.jsonl").values()
    assert (found["memory"], found["metadata"]) == ("Likes tea", {**own, "role": "tool"})
    assert (found["kind"], found["role"], found["profile"]) == ("fact", "user", "Default")


async def test_export_can_be_imported_into_another_project(
    client: httpx.AsyncClient,
    database: Database,
    project_id: uuid.UUID,
    sign_up: SignUp,
    make_key: MakeKey,
    resources: Resources,
    tmp_path: Path,
) -> None:
    message = {"messages": "I like tea", "user_id": "anna", "infer": False, "metadata": {"a": 1}, "immutable": True}
    await client.post("/v3/memories/add/", json={**message, "expiration_date": "2199-01-01"})
    work = (await client.post("/v1/profiles", json={"user_id": "anna", "name": "Work"})).json()
    more = {"messages": "I use Rust", "user_id": "anna", "infer": False, "profile_id": work["id"]}
    await client.post("/v3/memories/add/", json=more)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    await export_file(database, project_id, first)
    other = (await sign_up()).project_id
    for expected in (2, 0):
        done = await import_file(database, other, first)
        assert (done.added["memory"], done.already_there["memory"]) == (expected, 2 - expected)
    await export_file(database, other, second)
    before, after = read_export(first).values(), read_export(second).values()
    assert without_ids(before) == without_ids(after)
    assert {each["profile"] for each in after} == {"Default", "Work"}
    await sweep(resources, older_than_seconds=0)
    there = (await make_key(project=other)).client
    request = {"query": "tea", "filters": {"user_id": "anna"}}
    [found] = (await there.post("/v3/memories/search/", json=request)).json()["results"][:1]
    assert found["memory"] == "I like tea"


def without_ids(lines: Iterable[Json]) -> list[Json]:
    return sorted(({**line, "id": None} for line in lines), key=lambda line: str(line["memory"]))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ('{"memory": "Likes tea"}', "--user-id"),
        ('{"memory": "Likes tea", "user_id": "", "agent_id": ""}', "--user-id"),
        ('{"memory": "x", "user_id": "a"}\n{"user_id": "a"}', "Line 2"),
        ('{"memory": "x", "user_id": "a"}\nnonsense', "Line 2"),
        ('{"memory": "x", "user_id": "a", "created_at": "yesterday"}', "no valid `created_at`"),
        ("[1]", "not a memory"),
        ('{"memory": "Likes \\u0000 tea", "user_id": "a"}', "NUL"),
        ('{"memory": "x", "user_id": "a", "metadata": {"x": ["\\u0000"]}}', "NUL"),
        ('{"memory": "half \\ud800", "user_id": "a"}', "without lone surrogates"),
        ('{"memory": "x", "user_id": "a", "metadata": {"x": NaN}}', "finite"),
        ('{"memory": "x", "agent_id": "' + "a" * 501 + '"}', "500"),
        ('{"memory": "x", "user_id": "a", "importance": 7}', "no valid `importance`"),
        ("[" * 100_000, "not JSON"),
        ('{"memory": "\\u0000", "user_id": "a"}', "character"),
        ('{"memory": "\\ud800", "user_id": "a"}', "lone surrogates"),
        ('{"memory": "x", "user_id": "\\ud800"}', "lone surrogates"),
        ('{"memory": "x", "user_id": "a", "metadata": {"a": NaN}}', "number"),
        ('{"memory": "x", "user_id": "a", "metadata": {"\\ud800": 1}}', "lone surrogates"),
        ('{"memory": "x", "user_id": "a", "created_at": 1e300}', "no valid `created_at`"),
        ('{"memory": "x", "user_id": "a", "created_at": "9999-12-31T23:59:59-14:00"}', "no valid `created_at`"),
        ('{"memory": "x", "user_id": "a", "importance": 5}', "no valid `importance`"),
        ('{"memory": "x", "user_id": "a", "access_count": 1e12}', "no valid `access_count`"),
        ('{"memory": "x", "user_id": "a", "accessed_at": ["soon"]}', "no valid `accessed_at`"),
        ('{"memory": "x", "user_id": "a", "replaced_by": "y"}', "no valid `replaced_by`"),
        ('{"memory": "x", "user_id": "a", "expiration_date": "soon"}', "no valid `expiration_date`"),
        ('{"memory": "x", "user_id": "a", "kind": "guess"}', "no valid `kind`"),
        ('{"memory": "x", "user_id": "a", "categories": 7}', "no valid `categories`"),
        ('{"memory": "x", "user_id": "a", "metadata": "k"}', "no valid `metadata`"),
        ('{"memory": "x", "user_id": "a", "type": "wat"}', "unknown `type`. The types are account, end, entity,"),
        ('{"memory": "x", "user_id": "a", "type": ["memory"]}', "unknown `type`"),
    ],
)
async def test_invalid_line_is_reported_and_the_others_are_kept(
    lines: str, reason: str, database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    good = '{"memory": "Likes coffee", "user_id": "b"}'
    (tmp_path / "wrong.jsonl").write_text(f"{good}\n{lines}\n{good.replace('coffee', 'milk')}\n")
    done = await import_file(database, project_id, tmp_path / "wrong.jsonl")
    bad = len(lines.splitlines()) + 1
    assert [problem.line for problem in done.problems] == [bad]
    assert reason.replace("Line 2", "Line 3") in done.problems[0].detail
    assert done.added["memory"] == bad


async def test_default_user_owns_memories_without_an_owner(
    database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text('{"memory": "Likes tea"}\n{"memory": "Likes it hot", "agent_id": "bot"}\n')
    await import_file(database, project_id, tmp_path / "in.jsonl", "anna")
    await export_file(database, project_id, tmp_path / "out.jsonl")
    found = {each["memory"]: each["user_id"] for each in read_export(tmp_path / "out.jsonl").values()}
    assert found == {"Likes tea": "anna", "Likes it hot": None}
