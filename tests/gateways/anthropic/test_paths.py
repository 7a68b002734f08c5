"""A path names one memory of a store, whatever other APIs do to its memories."""

import asyncio
import uuid
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import text

from app.core.resources import Resources
from app.memory.documents.changes import lock_statement
from app.memory.ledger import NewMemory, add_each_statement
from app.memory.namespace import Namespace
from app.memory.remember import remember
from tests.conftest import KeyHolder
from tests.gateways.anthropic.conftest import address_of, paths
from tests.lazy_package import LazyPackage

if TYPE_CHECKING:
    import anthropic
    from anthropic import AsyncAnthropic
else:
    anthropic = LazyPackage("anthropic")

# Of this transaction: other tests may run in the same server.
SELECT_WAITING_SQL = text("""
select exists (select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid)))
""")


async def create_store(claude: "AsyncAnthropic", name: str) -> str:
    return (await claude.beta.memory_stores.create(name=name, metadata={"user_id": "ann"})).id


def profile_of(store: str) -> str:
    return str(uuid.UUID(store.removeprefix("memstore_")))


async def test_changes_through_the_api_for_memories_keep_the_path(
    claude: "AsyncAnthropic", client: httpx.AsyncClient
) -> None:
    store, memories = await create_store(claude, "Notes"), claude.beta.memory_stores.memories
    memory = await memories.create(store, path="/a.md", content="Ines lives in Lisbon")
    address = address_of(memory.id)
    changed = await client.put(address, json={"metadata": {"team": "a"}})
    assert changed.json()["metadata"] == {"team": "a", "memory_store_path": "/a.md"}
    batch = [{"memory_id": changed.json()["id"], "text": "Ines lives in Porto", "metadata": changed.json()["metadata"]}]
    assert (await client.put("/v1/batch/", json={"memories": batch})).status_code == 200
    assert (await memories.retrieve(memory.id, memory_store_id=store)).content == "Ines lives in Porto"
    plain = {"messages": "I like tea", "user_id": "ann", "infer": False, "profile_id": profile_of(store)}
    [other] = (await client.post("/v3/memories/add/", json=plain)).json()["results"]
    planted = {"metadata": {"memory_store_path": "/a.md"}}
    for refused in (
        await client.put(address, json={"metadata": {"memory_store_path": "/b.md"}}),
        await client.put(f"/v1/memories/{other['id']}/", json=planted),
        await client.post("/v3/memories/add/", json={**plain, **planted}),
        await client.post("/v3/memories/add/", json={**plain, **planted, "infer": True}),
    ):
        assert (refused.status_code, "/v1/memory_stores" in refused.text) == (400, True)
    assert await paths(claude, store) == ["/a.md"]


async def test_a_memory_is_not_written_while_another_gets_its_path(
    claude: "AsyncAnthropic", resources: Resources, key_holder: KeyHolder
) -> None:
    store, memories = await create_store(claude, "Notes"), claude.beta.memory_stores.memories
    namespace = Namespace(key_holder.project_id, "ann", uuid.UUID(profile_of(store)))
    first = NewMemory("The first", metadata={"memory_store_path": "/a.md"})
    async with resources.database.transaction(namespace.project_id, "ann") as tx:
        add = add_each_statement(namespace.project_id, [(namespace, first)])
        await resources.database.pipeline_in(tx, lock_statement(namespace), add)
        second = asyncio.create_task(memories.create(store, path="/a.md", content="The second"))
        while not second.done() and not await tx.scalar(SELECT_WAITING_SQL):
            await asyncio.wait([second], timeout=0.01)
    with pytest.raises(anthropic.ConflictError) as taken:
        await second
    assert taken.value.type == "memory_path_conflict_error"
    await memories.delete(f"mem_{first.id.hex}", memory_store_id=store)
    assert await paths(claude, store) == []


async def test_repeated_path_names_the_oldest_memory(
    claude: "AsyncAnthropic", resources: Resources, key_holder: KeyHolder
) -> None:
    store, memories = await create_store(claude, "Notes"), claude.beta.memory_stores.memories
    first = await memories.create(store, path="/a.md", content="The first")
    namespace = Namespace(key_holder.project_id, "ann", uuid.UUID(profile_of(store)))
    repeated = NewMemory("The second", metadata={"memory_store_path": "/a.md"})
    await remember(resources, namespace, [repeated])
    assert await paths(claude, store) == ["/a.md"]
    shown = await memories.list(store, view="full")
    assert [each.id for each in shown.data] == [first.id]  # type: ignore[union-attr]
    await memories.delete(first.id, memory_store_id=store)
    assert (await memories.retrieve(f"mem_{repeated.id.hex}", memory_store_id=store)).content == "The second"


async def test_copied_and_moved_memories_take_no_path_that_is_taken(
    claude: "AsyncAnthropic", client: httpx.AsyncClient
) -> None:
    store, other = await create_store(claude, "Notes"), await create_store(claude, "Trips")
    memories = claude.beta.memory_stores.memories
    for path, content in (("/a.md", "Ines lives in Lisbon"), ("/b.md", "Ines has a cat")):
        memory = await memories.create(store, path=path, content=content)
    await memories.create(other, path="/b.md", content="The train leaves at nine")
    moved = await client.post(f"{address_of(memory.id)}move", json={"profile_id": profile_of(other)})
    assert (moved.status_code, "path" in moved.json()["detail"]) == (409, True), moved.text
    body = {"to_profile_id": profile_of(other)}
    copied = await client.post(f"/v1/profiles/{profile_of(store)}/copy", json=body)
    assert (copied.status_code, copied.json()["copied"]) == (200, 2), copied.text
    shown = await memories.list(other, view="full")
    contents = [each.content for each in shown.data]  # type: ignore[union-attr]
    assert contents == ["Ines lives in Lisbon", "The train leaves at nine"]
