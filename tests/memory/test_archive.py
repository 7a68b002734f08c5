"""An archived memory is in the ledger and nowhere else, until it is restored."""

import uuid
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from app.core.ports import IndexRemoval
from app.core.resources import Resources
from app.memory.archive import archive_memory, restore_memory
from app.memory.edit import Owner
from app.memory.indexing import load_upserts
from app.memory.namespace import Namespace
from app.webhooks.models import EventType
from tests.memory.namespaces import (
    add_memories,
    contents,
    load_history,
    load_memory,
    search,
    wait_until_indexed,
)
from tests.rows import Corner, fill

PLANE = "I fly gliders near Ulm"
ULM = {"user_id": "ana", "infer": False, "messages": [{"role": "user", "content": PLANE}]}
OF_ANA: dict[str, Any] = {"filters": {"user_id": "ana"}}


async def memories(client: httpx.AsyncClient, path: str, **body: Any) -> list[str]:
    found = await client.post(path, json={**OF_ANA, **body})
    return [each["memory"] for each in found.json()["results"]]


async def test_archived_memory_leaves_search_chat_and_lists_and_returns(client: httpx.AsyncClient) -> None:
    memory_id = (await client.post("/v3/memories/add/", json=ULM)).json()["results"][0]["id"]
    path = f"/v1/memories/{memory_id}"
    chat = {"message": "Where do I fly gliders?", "user_id": "ana", "privacy_mode": "pause_memories"}
    assert [each["id"] for each in (await client.post("/v1/chat", json=chat)).json()["recalled"]] == [memory_id]
    assert (await client.post(f"{path}/archive")).json()["lifecycle_state"] == "archived"

    assert await memories(client, "/v3/memories/search/", query="gliders", threshold=0) == []
    assert (await client.post("/v1/chat", json=chat)).json()["recalled"] == []
    assert PLANE not in await memories(client, "/v3/memories/")
    assert PLANE in await memories(client, "/v3/memories/", show_archived=True)
    assert PLANE in await memories(client, "/v3/memories/", show_archived=True, keywords="Ulm")
    assert PLANE in [
        each["memory"] for each in (await client.get("/v1/memories/?user_id=ana&show_archived=true")).json()
    ]
    read = (await client.get(f"{path}/")).json()
    assert (read["memory"], read["lifecycle_state"]) == (PLANE, "archived")

    assert (await client.post(f"{path}/restore")).json()["lifecycle_state"] == "active"
    assert PLANE in await memories(client, "/v3/memories/search/", query="gliders", threshold=0)
    assert PLANE in await memories(client, "/v3/memories/")
    assert (await client.get(f"{path}/")).json()["updated_at"] == read["updated_at"]


async def test_lists_can_be_limited_to_a_kind_and_a_state(client: httpx.AsyncClient) -> None:
    memory_id = (await client.post("/v3/memories/add/", json=ULM)).json()["results"][0]["id"]
    other = {**ULM, "messages": [{"role": "user", "content": "I like tea"}]}
    await client.post("/v3/memories/add/", json=other)
    await client.post(f"/v1/memories/{memory_id}/archive")

    async def limited(**condition: str) -> list[str]:
        both = {"AND": [OF_ANA["filters"], condition]}
        return await memories(client, "/v3/memories/", filters=both, show_archived=True)

    assert await limited(lifecycle_state="archived") == [PLANE]
    assert await limited(lifecycle_state="active") == ["I like tea"]
    assert await limited(lifecycle_state="superseded") == []
    assert await limited(kind="episode") == ["I like tea", PLANE]
    assert await limited(kind="fact") == []


async def test_archiving_and_restoring_twice_is_recorded_once(client: httpx.AsyncClient) -> None:
    memory_id = (await client.post("/v3/memories/add/", json=ULM)).json()["results"][0]["id"]
    for verb in ("archive", "archive", "restore", "restore"):
        assert (await client.post(f"/v1/memories/{memory_id}/{verb}")).status_code == 200
    history = (await client.get(f"/v1/memories/{memory_id}/history/")).json()
    assert [each["event"] for each in history] == ["ADD", "ARCHIVE", "RESTORE"]
    events = (await client.get("/v1/events/")).json()["results"]
    assert [each["event_type"] for each in events] == ["RESTORE", "ARCHIVE", "ADD"]


async def test_archived_memory_can_be_deleted_and_added_again(client: httpx.AsyncClient) -> None:
    first = (await client.post("/v3/memories/add/", json=ULM)).json()["results"][0]["id"]
    await client.post(f"/v1/memories/{first}/archive")
    second = (await client.post("/v3/memories/add/", json=ULM)).json()["results"][0]
    assert (second["event"], second["id"] != first) == ("ADD", True)
    assert (await client.delete(f"/v1/memories/{first}/")).status_code == 200
    assert (await client.get(f"/v1/memories/{first}/")).status_code == 404
    assert (await client.post(f"/v1/memories/{first}/restore")).status_code == 404


async def test_webhooks_hear_of_archiving_and_restoring_also_by_an_end_user(
    resources: Resources, namespace: Namespace
) -> None:
    (memory_id,) = await add_memories(resources, namespace, PLANE)
    types = [EventType.MEMORY_ARCHIVE, EventType.MEMORY_RESTORE]
    async with resources.database.transaction(namespace.project_id) as tx:
        await tx.execute(
            text(
                "insert into webhooks (project_id, name, url, event_types) values (:project, 'H', 'http://x', :types)"
            ),
            {"project": namespace.project_id, "types": types},
        )
    own = Owner(namespace.project_id, namespace.user_id)
    await archive_memory(resources, own, memory_id)
    await restore_memory(resources, own, memory_id)
    async with resources.database.transaction(namespace.project_id) as tx:
        told = await tx.scalars(text("select event_type from webhook_deliveries order by position"))
        assert list(told) == types


async def test_restored_memory_is_found_although_its_removal_comes_late(
    resources: Resources, namespace: Namespace
) -> None:
    """As if another process had archived it, and its removal were overtaken."""
    owner = Owner(namespace.project_id)
    (memory_id,) = await add_memories(resources, namespace, PLANE)
    await archive_memory(resources, owner, memory_id)
    await restore_memory(resources, owner, memory_id)
    late = IndexRemoval(memory_id, namespace.project_id, str(namespace))
    await resources.index_queue.put([late])
    await wait_until_indexed(resources, namespace)
    assert contents(await search(resources, namespace, "gliders")) == [PLANE]
    (upsert,) = await load_upserts(resources.database, namespace.project_id, [memory_id])
    await resources.index_queue.put([late, upsert])
    await wait_until_indexed(resources, namespace)
    assert contents(await search(resources, namespace, "gliders")) == [PLANE]


async def test_archiving_keeps_no_user_profile_with_its_words(
    resources: Resources, database: Database, admin_engine: AsyncEngine, project_id: uuid.UUID
) -> None:
    corner = Corner(project_id, "anna")
    await fill(admin_engine, corner)
    await archive_memory(resources, Owner(project_id), corner.memory_id)
    async with database.transaction(project_id) as tx:
        assert list(await tx.scalars(text("select id from portraits"))) == []


async def test_history_of_an_archived_memory_repeats_no_words(resources: Resources, namespace: Namespace) -> None:
    (memory_id,) = await add_memories(resources, namespace, PLANE)
    await archive_memory(resources, Owner(namespace.project_id), memory_id)
    added, archived = await load_history(resources, namespace, memory_id)
    assert (added.event, archived.event) == ("ADD", "ARCHIVE")
    assert (archived.old_memory, archived.new_memory, archived.user_id) == (None, None, namespace.user_id)
    assert await load_memory(resources, namespace, memory_id) is not None
