"""A memory moves to another profile of its user as a whole, and leaves nothing in the old one."""

import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.errors import Conflict, NotFound
from app.core.resources import Resources
from app.memory.edit import Owner
from app.memory.ledger import Kind
from app.memory.move import MAX_MOVED, move_memory
from app.memory.namespace import Namespace
from app.profiles.repository import ProfileRepository
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    load_history,
    load_memory,
    search,
)
from tests.memory.supersession.test_supersede import INSERT_CHAIN_SQL

PLANE = "I fly gliders near Ulm"
ULM = {"user_id": "ana", "infer": False, "messages": [{"role": "user", "content": PLANE}]}
FIND = {"query": "gliders", "filters": {"user_id": "ana"}, "threshold": 0}


async def make_profile(client: httpx.AsyncClient, user_id: str = "ana") -> str:
    made = await client.post("/v1/profiles", json={"name": uuid.uuid4().hex, "user_id": user_id})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def found(client: httpx.AsyncClient, path: str, **body: Any) -> list[str]:
    response = await client.post(
        path, json={**FIND, **body} if "search" in path else {"filters": FIND["filters"], **body}
    )
    return [each["memory"] for each in response.json()["results"]]


async def other_profile(resources: Resources, namespace: Namespace) -> Namespace:
    assert namespace.user_id
    async with resources.database.transaction(namespace.project_id) as tx:
        made = await ProfileRepository(tx, namespace.project_id).create(
            namespace.user_id, is_default=False, name="Work"
        )
    return Namespace(namespace.project_id, namespace.user_id, made.id)


async def test_moved_memory_is_found_in_its_new_profile_only(client: httpx.AsyncClient) -> None:
    memory_id = (await client.post("/v3/memories/add/", json=ULM)).json()["results"][0]["id"]
    work = await make_profile(client)
    moved = await client.post(f"/v1/memories/{memory_id}/move", json={"profile_id": work})
    assert (moved.status_code, moved.json()["profile_id"]) == (200, work)
    for path in ("/v3/memories/search/", "/v3/memories/"):
        assert await found(client, path) == []
        assert await found(client, path, profile_id=work) == [PLANE]
    history = (await client.get(f"/v1/memories/{memory_id}/history/")).json()
    assert [each["event"] for each in history] == ["ADD", "MOVE"]
    assert history[1]["metadata"]["to_profile_id"] == work
    assert PLANE not in str(history[1])
    again = await client.post(f"/v1/memories/{memory_id}/move", json={"profile_id": work})
    assert again.status_code == 200
    assert len((await client.get(f"/v1/memories/{memory_id}/history/")).json()) == 2


async def test_memory_moves_to_no_profile_of_another_user(client: httpx.AsyncClient) -> None:
    memory_id = (await client.post("/v3/memories/add/", json=ULM)).json()["results"][0]["id"]
    of_bob = await make_profile(client, "bob")
    assert (await client.post(f"/v1/memories/{memory_id}/move", json={"profile_id": of_bob})).status_code == 404
    assert (await client.post(f"/v1/memories/{uuid.uuid4()}/move", json={"profile_id": of_bob})).status_code == 404
    assert await found(client, "/v3/memories/") == [PLANE]
    misspelt = await client.post(f"/v1/memories/{memory_id}/move", json={"profileid": of_bob})
    assert misspelt.status_code == 422
    for_agent = {**ULM, "user_id": None, "agent_id": "pilot"}
    agent_memory = (await client.post("/v3/memories/add/", json=for_agent)).json()["results"][0]["id"]
    refused = await client.post(f"/v1/memories/{agent_memory}/move", json={"profile_id": of_bob})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_request")


async def test_person_moves_only_memories_of_their_own(resources: Resources, namespace: Namespace) -> None:
    [memory_id] = await add_memories(resources, namespace, PLANE)
    bob = await create_namespace(resources, namespace.project_id, "bob")
    assert bob.profile_id
    with pytest.raises(NotFound):
        await move_memory(resources, Owner(namespace.project_id, "bob"), memory_id, bob.profile_id)


async def test_profile_with_the_same_memory_refuses_it(client: httpx.AsyncClient) -> None:
    memory_id = (await client.post("/v3/memories/add/", json=ULM)).json()["results"][0]["id"]
    work = await make_profile(client)
    await client.post("/v3/memories/add/", json={**ULM, "profile_id": work})
    refused = await client.post(f"/v1/memories/{memory_id}/move", json={"profile_id": work})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert await found(client, "/v3/memories/") == [PLANE]


async def test_words_of_a_moved_memory_leave_the_context_of_others(resources: Resources, namespace: Namespace) -> None:
    work = await other_profile(resources, namespace)
    assert work.profile_id
    [first] = await add_memories(resources, namespace, PLANE, kind=Kind.EPISODE, context="Where were you?")
    [second] = await add_memories(resources, namespace, "It was windy", kind=Kind.EPISODE, context=PLANE)
    await move_memory(resources, Owner(namespace.project_id), first, work.profile_id)
    for memory_id in (first, second):
        memory = await load_memory(resources, namespace, memory_id)
        assert memory
        assert memory.context is None
    assert contents(await search(resources, namespace, "gliders near Ulm")) == ["It was windy"]
    assert contents(await search(resources, work, "gliders near Ulm")) == [PLANE]


async def test_older_versions_move_with_the_memory_that_replaced_them(
    resources: Resources, namespace: Namespace
) -> None:
    work = await other_profile(resources, namespace)
    assert work.profile_id
    [old] = await add_memories(resources, namespace, "I live in Rome")
    [new] = await add_memories(resources, namespace, "I live in Oslo")
    await execute_sql(resources, namespace, "update memories set replaced_by = :new where id = :old", new=new, old=old)
    await move_memory(resources, Owner(namespace.project_id), new, work.profile_id)
    memory = await load_memory(resources, namespace, old)
    assert memory
    assert (memory.profile_id, memory.namespace) == (work.profile_id, str(work))
    assert (await load_history(resources, namespace, old))[-1].event == "MOVE"


async def test_summary_of_the_old_profile_goes_with_the_memory(resources: Resources, namespace: Namespace) -> None:
    work = await other_profile(resources, namespace)
    assert work.profile_id
    [memory_id] = await add_memories(resources, namespace, PLANE)
    async with resources.database.transaction(namespace.project_id) as tx:
        await tx.execute(
            text(
                "insert into portraits (project_id, user_id, profile_id, content, memory_ids)"
                " values (:project_id, :user_id, :profile_id, '{}', array[cast(:id as uuid)])"
            ),
            {**vars_of(namespace), "id": memory_id},
        )
    await move_memory(resources, Owner(namespace.project_id), memory_id, work.profile_id)
    async with resources.database.transaction(namespace.project_id) as tx:
        assert await tx.scalar(text("select count(*) from portraits")) == 0


def vars_of(namespace: Namespace) -> dict[str, object]:
    return {"project_id": namespace.project_id, "user_id": namespace.user_id, "profile_id": namespace.profile_id}


async def test_memory_with_too_many_older_versions_stays(resources: Resources, namespace: Namespace) -> None:
    """Each of them would be embedded again, while the client waits."""
    (first,) = await add_memories(resources, namespace, PLANE)
    work = await other_profile(resources, namespace)
    assert work.profile_id
    async with resources.database.transaction(namespace.project_id) as tx:
        values = {"id": str(first), "links": MAX_MOVED + 1}
        (newest,) = (await tx.execute(text(f"{INSERT_CHAIN_SQL.text}, replaced_by"), values)).all()[-1:]
    assert newest.replaced_by is None
    with pytest.raises(Conflict) as refused:
        await move_memory(resources, Owner(namespace.project_id), newest.id, work.profile_id)
    assert (refused.value.reason, refused.value.status) == ("too_many_versions", 409)
    moved = await move_memory(resources, Owner(namespace.project_id), first, work.profile_id)
    assert moved.profile_id == work.profile_id
