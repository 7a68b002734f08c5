"""A real server with Redis: what a deletion promises to remove is in no row, key or file afterwards, in any form."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.chat.conversation import AdminRows, start_conversation
from tests.e2e.redis_server import RedisServer
from tests.e2e.server import serving
from tests.erasure.planting import Planted
from tests.erasure.scan import Marks, Place, compact, opened_place, sign_in
from tests.erasure.test_deleted_memories import AGE_ARCHIVED_SQL, AGE_MEMORIES_SQL, NAMES, OF_MEMORIES
from tests.model_server import Facts, ModelServer, Says

OF_USER = ("entities", "memory_exports", "portrait_jobs")
COUNT_REMOVALS_SQL = "select count(*) from vector_removals"
FINISH_SECONDS = 120


@dataclass
class Subject:
    planted: Planted
    added: list[str] = field(default_factory=list)
    memory_markers: set[str] = field(default_factory=set)
    """What only memories hold, which the client added."""
    chat_markers: set[str] = field(default_factory=set)

    @property
    def of_memories(self) -> set[str]:
        """In all that deleted memories leave nothing in. The names of their entities stay in the history."""
        planted = set().union(*(self.planted.places[table] for table in OF_MEMORIES)) - self.planted.message_markers
        return self.memory_markers | planted.difference(*(self.planted.places[name] for name in NAMES))

    @property
    def of_profile(self) -> set[str]:
        return self.planted.markers - self.planted.markers_of(*OF_USER, *NAMES)

    @contextmanager
    def collecting(self, markers: set[str]) -> Iterator[None]:
        first = self.planted.count
        yield
        markers |= {self.planted.marker(number) for number in range(first, self.planted.count)}


async def remember(client: httpx.AsyncClient, models: ModelServer, subject: Subject) -> None:
    """Memories with metadata, one of them changed, and a chat of the profile, in a window of Redis."""
    planted = subject.planted
    place = {"user_id": planted.user_id, "profile_id": str(planted.corner.profile_id)}
    with subject.collecting(subject.memory_markers):
        for _ in range(14):
            given = {"messages": f"I met {planted.next_marker()}", "infer": False, **place}
            given["metadata"] = {planted.next_marker(): planted.next_marker()}
            added = await client.post("/v3/memories/add/", json=given)
            assert added.status_code == 200, added.text
            subject.added.append(added.json()["results"][0]["id"])
        changed = {"text": f"I know {planted.next_marker()}"}
        assert (await client.put(f"/v1/memories/{subject.added[0]}/", json=changed)).status_code == 200
        models.extraction(Facts(f"User likes {planted.next_marker()}"))
    with subject.collecting(subject.chat_markers):
        models.always(Says(f"I see, {planted.next_marker()}"))
        session = await start_conversation(client, planted.project_id, "normal", **place)
        answer = await session.send(f"My name is {planted.next_marker()}")
    event = await until(client, f"/v1/event/{answer['event_id']}/", lambda event: event["status"] == "SUCCEEDED")
    assert event["results"], event


async def until(client: httpx.AsyncClient, path: str, met: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(FINISH_SECONDS):
        while not met(found := (await client.get(path)).json()):  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.1)
    return dict(found)


async def delete_entity(client: httpx.AsyncClient, place: Place, planted: Planted) -> None:
    assert (await client.delete(f"/v2/entities/user/{planted.user_id}/")).status_code == 200


async def delete_all(client: httpx.AsyncClient, place: Place, planted: Planted) -> None:
    scope = {"user_id": planted.user_id, "profile_id": "*"}
    assert (await client.delete("/v1/memories/", params=scope)).status_code == 200


async def delete_profile(client: httpx.AsyncClient, place: Place, planted: Planted) -> None:
    other = {"user_id": planted.user_id, "name": "Other"}
    assert (await client.post("/v1/profiles", json=other)).status_code == 201
    assert (await client.delete(f"/v1/profiles/{planted.corner.profile_id}")).status_code == 200


async def delete_by_retention(client: httpx.AsyncClient, place: Place, planted: Planted) -> None:
    """The first run archives, the second one deletes what was archived long ago."""
    rule = {"name": "old", "older_than_days": 30, "delete_after_days": 30}
    assert (await client.put("/v1/admin/retention", json={"rules": [rule]})).status_code == 200
    for sql in (AGE_MEMORIES_SQL, AGE_ARCHIVED_SQL):
        async with place.admin.begin() as connection:
            await connection.execute(sql, {"user": planted.user_id})
        run = (await client.post("/v1/admin/retention/run")).json()["id"]
        await until(client, f"/v1/admin/retention/runs/{run}", lambda run: run["state"] == "finished")


Delete = Callable[[httpx.AsyncClient, Place, Planted], Awaitable[None]]
DELETIONS: dict[Delete, Callable[[Subject], set[str]]] = {
    delete_entity: lambda subject: subject.planted.markers,
    delete_all: lambda subject: subject.of_memories,
    delete_profile: lambda subject: subject.of_profile,
    delete_by_retention: lambda subject: subject.of_memories,
}


@pytest.mark.long
async def test_no_deleted_string_is_in_a_row_in_redis_or_in_a_file(tmp_path: Path, redis: RedisServer) -> None:
    data_dir = tmp_path / "data"
    with ModelServer() as models:
        model = {"LLM_BASE_URL": models.url, "LLM_API_KEY": "key", "LLM_MODEL": "any"}
        with serving(data_dir, DATABASE_URL="", REDIS_URL=redis.url, **model) as keepsake:
            client, project_id = await sign_in(keepsake)
            async with aclosing(client), opened_place(data_dir, redis) as place:
                subjects = await plant(client, models, place, project_id)
                spared = subjects[-1]
                before = [await place.look_for(each.planted) for each in subjects]
                for subject, marks in zip(subjects, before, strict=True):
                    assert marks.rows == marks.files == subject.planted.markers
                    assert marks.redis & subject.chat_markers
                for delete, subject in zip(DELETIONS, subjects, strict=False):
                    await delete(client, place, subject.planted)
                await until_removed_from_index(place)
                await asyncio.to_thread(compact, data_dir)
                await place.run("vacuum full pg_catalog.pg_statistic")
                for (delete, promised), subject, earlier in zip(DELETIONS.items(), subjects, before, strict=False):
                    gone = promised(subject)
                    assert len(gone) >= 50
                    left = await place.look_for(subject.planted)
                    assert (delete.__name__, left.everywhere & gone) == (delete.__name__, set())
                    assert left.rows >= kept_of(delete, subject, earlier)
                after = await place.look_for(spared.planted)
                assert after.rows == spared.planted.markers
                assert len(after.files) == len(before[-1].files)
                assert after.redis == before[-1].redis


async def plant(client: httpx.AsyncClient, models: ModelServer, place: Place, project_id: UUID) -> list[Subject]:
    """One user for each deletion, and one that is spared."""
    subjects = [Subject(Planted(project_id)) for _ in range(len(DELETIONS) + 1)]
    for subject in subjects:
        await subject.planted.plant_rows(place.admin)
        await remember(client, models, subject)
    await place.run("analyze")
    return subjects


def kept_of(delete: Delete, subject: Subject, before: Marks) -> set[str]:
    """Memories can be deleted without the conversations that they come from."""
    return subject.chat_markers & before.rows if delete in (delete_all, delete_by_retention) else set()


async def until_removed_from_index(place: Place) -> None:
    """The files of the index have numbers only. No vector may be left that waits for its removal."""
    async with asyncio.timeout(FINISH_SECONDS):
        while await AdminRows(place.admin).select_value(COUNT_REMOVALS_SQL):  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.5)
