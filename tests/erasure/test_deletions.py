"""What the ordinary deletions promise is gone from every table, also from those that only mention it."""

import uuid

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.resources import Resources
from app.memory.extraction.interim import store_waiting_words
from app.memory.namespace import Namespace
from tests.chat.conversation import AdminRows, start_conversation
from tests.conftest import SignUp
from tests.erasure.planting import Planted


async def execute(admin_engine: AsyncEngine, sql: str, **values: object) -> None:
    async with admin_engine.begin() as connection:
        await connection.execute(text(sql), values)


async def test_profile_deletion_leaves_only_what_is_the_users(
    client: httpx.AsyncClient, resources: Resources, admin_engine: AsyncEngine, erased: Planted
) -> None:
    assert (await client.post("/v1/profiles", json={"user_id": erased.user_id, "name": "Other"})).status_code == 201
    assert (await client.delete(f"/v1/profiles/{erased.corner.profile_id}")).status_code == 200
    # That a memory was deleted stays in the history, with the names of its entities.
    names = (f"memory_history.{column}" for column in ("agent_id", "app_id", "run_id"))
    left = erased.markers_of("entities", "memory_exports", "portrait_jobs", *names)
    assert await erased.find(admin_engine, resources) == left


async def test_session_deletion_and_reset_leave_no_message(
    client: httpx.AsyncClient, resources: Resources, admin_engine: AsyncEngine, erased: Planted, spared: Planted
) -> None:
    """An event that has failed still holds what was said."""
    gone = erased.places["messages"] | erased.places["sessions"] | erased.places["turns"]
    assert (await client.delete(f"/v1/sessions/{erased.corner.session_id}")).status_code == 200
    left = await erased.find(admin_engine, resources)
    assert left.isdisjoint(gone | erased.places["events"])
    await execute(admin_engine, "update events set status = 'FAILED' where id = :id", id=spared.corner.event_id)
    assert (await client.post(f"/v1/sessions/{spared.corner.session_id}/reset")).status_code == 200
    left = await spared.find(admin_engine, resources)
    assert left.isdisjoint(spared.places["messages"] | spared.places["sessions"] | spared.places["events"])


@pytest.mark.parametrize("everything", [True, False], ids=["delete_all", "one"])
async def test_deleted_memories_leave_nothing_in_the_requests_of_their_events(
    client: httpx.AsyncClient, admin_rows: AdminRows, *, everything: bool
) -> None:
    mark = f"Sp\u00fcr{uuid.uuid4().hex}"
    body = {
        **{"messages": f"I like {mark}", "infer": False, "user_id": "ann", "metadata": {mark: mark}},
        **{"custom_categories": [{mark: mark}], "custom_instructions": mark},
    }
    assert (await client.post("/v3/memories/add/", json=body)).status_code == 200
    [memory] = (await client.post("/v3/memories/", json={"filters": {"user_id": "ann"}})).json()["results"]
    assert {"public.memories", "public.events"} <= set(await admin_rows.tables_containing(mark))
    path = "/v1/memories/?user_id=ann" if everything else f"/v1/memories/{memory['id']}/"
    assert (await client.delete(path)).status_code in (200, 204)
    assert await admin_rows.tables_containing(mark) == []


async def test_deleted_words_leave_a_waiting_event(
    client: httpx.AsyncClient, project_id: uuid.UUID, resources: Resources, admin_rows: AdminRows
) -> None:
    """While the model is away, the words of an event are memories."""
    marks = [f"Sp\u00fcr{uuid.uuid4().hex}" for _ in range(2)]
    messages = [{"role": "user", "content": f"I like {mark}"} for mark in marks]
    body = {"messages": messages, "user_id": "ann"}
    assert (await client.post("/v3/memories/add/", json=body)).status_code == 200
    profile = (await client.get("/v1/profiles", params={"user_id": "ann"})).json()["results"][0]["id"]
    await store_waiting_words(resources, project_id, str(Namespace(project_id, "ann", uuid.UUID(profile))))
    found = (await client.post("/v3/memories/", json={"filters": {"user_id": "ann"}})).json()["results"]
    [first] = [each["id"] for each in found if marks[0] in each["memory"]]
    assert "public.events" in await admin_rows.tables_containing(marks[0])
    assert (await client.delete(f"/v1/memories/{first}/")).status_code in (200, 204)
    assert await admin_rows.tables_containing(marks[0]) == []
    assert "public.events" in await admin_rows.tables_containing(marks[1])


async def test_deleted_project_and_account_leave_no_window(sign_up: SignUp, resources: Resources) -> None:
    owner = await sign_up()
    windows = []
    for _ in range(2):
        project = (await owner.client.get("/v1/projects")).json()["results"][0]["id"]
        session = await start_conversation(owner.client, uuid.UUID(project), user_id=str(owner.account_id))
        await session.send("My name is Ann")
        windows.append(f"window:{session.session_id}")
        assert await resources.short_term.get(windows[-1])
        deleted = f"/v1/projects/{project}" if len(windows) == 1 else "/v1/auth/me"
        assert (await owner.client.delete(deleted)).status_code == 200
        assert await resources.short_term.get(windows[-1]) is None
