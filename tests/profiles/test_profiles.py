"""Profiles: named sets of memories of one user. Exactly one is the default, also under concurrent writes."""

import asyncio
import random
import uuid
from typing import Any

import httpx
import pytest

from app.core.resources import Resources
from app.memory.ledger import Kind, NewMemory
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.recall import Question, recall
from app.memory.remember import remember
from tests.conftest import KeyHolder, MakeKey, SignUp

Json = dict[str, Any]


async def create(client: httpx.AsyncClient, name: str, user_id: str = "ann", **more: object) -> Json:
    answer = await client.post("/v1/profiles", json={"name": name, "user_id": user_id, **more})
    assert answer.status_code == 201, answer.text
    profile: Json = answer.json()
    return profile


async def profiles_of(client: httpx.AsyncClient, user_id: str = "ann") -> list[Json]:
    answer = await client.get("/v1/profiles", params={"user_id": user_id, "limit": 200})
    results: list[Json] = answer.json()["results"]
    return results


async def default_of(client: httpx.AsyncClient, user_id: str = "ann") -> str:
    [default] = [profile["id"] for profile in await profiles_of(client, user_id) if profile["is_default"]]
    found: str = default
    return found


async def test_new_user_has_a_default_profile(client: httpx.AsyncClient) -> None:
    [profile] = await profiles_of(client)
    assert (profile["name"], profile["is_default"]) == ("Default", True)


async def test_profile_can_be_described_renamed_and_given_a_persona(client: httpx.AsyncClient) -> None:
    profile = await create(client, "Work", description="The office", persona="Be brief.")
    assert (profile["name"], profile["description"], profile["persona"]) == ("Work", "The office", "Be brief.")
    path = f"/v1/profiles/{profile['id']}"
    changed = (await client.patch(path, json={"name": "Job", "persona": None})).json()
    assert (changed["name"], changed["description"], changed["persona"]) == ("Job", "The office", None)
    assert (await client.get(path)).json() == changed


async def test_first_profile_is_the_default_until_another_is_chosen(client: httpx.AsyncClient) -> None:
    first = await create(client, "Home")
    assert first["is_default"] is True
    second = await create(client, "Work")
    assert second["is_default"] is False
    third = await create(client, "Persona", is_default=True)
    assert await default_of(client) == third["id"]
    assert (await client.post(f"/v1/profiles/{second['id']}/default")).json()["is_default"] is True
    assert await default_of(client) == second["id"]


async def test_profile_name_is_unique_for_each_user(client: httpx.AsyncClient) -> None:
    await create(client, "Home")
    answer = await client.post("/v1/profiles", json={"name": "Home", "user_id": "ann"})
    assert answer.status_code == 409
    assert "Choose another `name`" in answer.json()["detail"]
    await create(client, "Home", user_id="bob")


@pytest.mark.parametrize("wrong", [{"name": " "}, {"name": "x" * 256}, {"name": "a\0b"}, {"persona": "x" * 20_001}])
async def test_unusable_profile_is_refused(wrong: Json, client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/profiles", json={"name": "Home", "user_id": "ann", **wrong})
    assert answer.status_code == 422


async def test_last_profile_cannot_be_deleted_and_the_default_moves_to_the_oldest(client: httpx.AsyncClient) -> None:
    oldest, second, third = [await create(client, name) for name in ("A", "B", "C")]
    await client.post(f"/v1/profiles/{third['id']}/default")
    assert (await client.delete(f"/v1/profiles/{third['id']}")).status_code == 200
    assert await default_of(client) == oldest["id"]
    assert (await client.delete(f"/v1/profiles/{oldest['id']}")).status_code == 200
    refused = await client.delete(f"/v1/profiles/{second['id']}")
    assert refused.status_code == 409
    assert "last profile" in refused.json()["detail"]
    assert await default_of(client) == second["id"]


async def test_profile_of_another_account_is_not_found(sign_up: SignUp, make_key: MakeKey) -> None:
    ann, bob = await sign_up(), await sign_up()
    profile = (await ann.client.post("/v1/profiles", json={"name": "Mine"})).json()
    path = f"/v1/profiles/{profile['id']}"
    for client in (bob.client, (await make_key()).client):
        assert (await client.get(path)).status_code == 404
        assert (await client.patch(path, json={"name": "x"})).status_code == 404
        assert (await client.post(f"{path}/default")).status_code == 404
        assert (await client.delete(path)).status_code == 404
        assert (await client.post(f"{path}/copy", json={"to_profile_id": str(uuid.uuid4())})).status_code == 404


async def test_fifty_concurrent_writers_leave_exactly_one_default(client: httpx.AsyncClient) -> None:
    ids = [(await create(client, f"P{number}"))["id"] for number in range(10)]
    chance = random.Random(4)

    async def write(number: int) -> int:
        work, profile = chance.choice(["create", "default", "delete"]), chance.choice(ids)
        if work == "create":
            body = {"name": f"N{number}", "user_id": "ann", "is_default": chance.random() < 0.5}
            return (await client.post("/v1/profiles", json=body)).status_code
        if work == "default":
            return (await client.post(f"/v1/profiles/{profile}/default")).status_code
        return (await client.delete(f"/v1/profiles/{profile}")).status_code

    for turn in range(4):
        statuses = await asyncio.gather(*(write(turn * 50 + number) for number in range(50)))
        assert set(statuses) <= {200, 201, 404, 409}
        assert await default_of(client)


async def test_fifty_concurrent_first_requests_create_one_default(client: httpx.AsyncClient) -> None:
    await asyncio.gather(*(profiles_of(client, "new") for _ in range(50)))
    assert len(await profiles_of(client, "new")) == 1


async def test_fifty_concurrent_deletions_leave_one_profile(client: httpx.AsyncClient) -> None:
    ids = [(await create(client, name))["id"] for name in ("A", "B")]
    answers = await asyncio.gather(*(client.delete(f"/v1/profiles/{ids[number % 2]}") for number in range(50)))
    assert {answer.status_code for answer in answers} <= {200, 404, 409}
    assert len(await profiles_of(client)) == 1


async def test_adding_to_a_profile_during_its_deletion_does_not_fail(client: httpx.AsyncClient) -> None:
    await create(client, "Stays")
    for turn in range(8):
        goes = (await create(client, f"Goes {turn}"))["id"]
        body = {"messages": "Tea", "user_id": "ann", "profile_id": goes, "infer": False}
        adds = [client.post("/v3/memories/add/", json={**body, "messages": f"Tea {number}"}) for number in range(6)]
        answers = await asyncio.gather(*adds[:3], client.delete(f"/v1/profiles/{goes}"), *adds[3:])
        assert {answer.status_code for answer in answers} <= {200, 404, 409}


# ---------------------------------------------------------------- memories


async def test_copy_keeps_memories_as_they_are_and_skips_duplicates(make_key: MakeKey, resources: Resources) -> None:
    key_holder = await make_key()
    source, target = await create(key_holder.client, "Source"), await create(key_holder.client, "Target")
    at = Namespace(key_holder.project_id, "ann", uuid.UUID(source["id"]))
    there = Namespace(key_holder.project_id, "ann", uuid.UUID(target["id"]))
    added = await remember(
        resources,
        at,
        [
            NewMemory("I like tea", metadata={"cup": "blue"}),
            NewMemory("We met in Rome", kind=Kind.EPISODE, origin=Origin(run_id="r1")),
        ],
    )
    await remember(resources, there, [NewMemory("I like tea")])
    body = {"to_profile_id": target["id"]}
    assert (await key_holder.client.post(f"/v1/profiles/{source['id']}/copy", json=body)).json() == {
        "copied": 1,
        "already_there": 1,
    }
    again = (await key_holder.client.post(f"/v1/profiles/{source['id']}/copy", json=body)).json()
    assert again == {"copied": 0, "already_there": 2}
    found = await recall(resources, Question(key_holder.project_id, "Where did we meet?", (there,), user_id="ann"))
    [copied] = [each.memory for each in found if each.memory.content == "We met in Rome"]
    [original] = [each.memory for each in await recall(resources, Question(key_holder.project_id, "Rome", (at,)))][:1]
    assert copied.id not in [each.id for each in added.results]
    assert (copied.kind, copied.run_id, copied.created_at) == ("episode", "r1", original.created_at)


async def test_copy_includes_every_memory(make_key: MakeKey, resources: Resources) -> None:
    key_holder = await make_key()
    source, target = await create(key_holder.client, "Source"), await create(key_holder.client, "Target")
    at = Namespace(key_holder.project_id, "ann", uuid.UUID(source["id"]))
    await remember(resources, at, [NewMemory(f"Fact {number}", metadata={"n": number}) for number in range(450)])
    answer = await key_holder.client.post(f"/v1/profiles/{source['id']}/copy", json={"to_profile_id": target["id"]})
    assert answer.json() == {"copied": 450, "already_there": 0}


@pytest.mark.parametrize(("to", "status"), [("itself", 400), ("another user's", 404)])
async def test_copy_needs_another_profile_of_the_same_user(to: str, status: int, client: httpx.AsyncClient) -> None:
    profile, other = await create(client, "Mine"), await create(client, "Theirs", user_id="bob")
    target = profile["id"] if to == "itself" else other["id"]
    answer = await client.post(f"/v1/profiles/{profile['id']}/copy", json={"to_profile_id": target})
    assert answer.status_code == status


async def test_deleting_a_profile_deletes_its_memories_and_sessions(
    key_holder: KeyHolder, resources: Resources
) -> None:
    await create(key_holder.client, "Kept")
    gone = await create(key_holder.client, "Gone")
    namespace = Namespace(key_holder.project_id, "ann", uuid.UUID(gone["id"]))
    await remember(resources, namespace, [NewMemory("I like tea")])
    body = {"user_id": "ann", "profile_id": gone["id"]}
    session = (await key_holder.client.post("/v1/sessions", json=body)).json()
    assert (await key_holder.client.delete(f"/v1/profiles/{gone['id']}")).status_code == 200
    assert await recall(resources, Question(key_holder.project_id, "tea", (namespace,), user_id="ann")) == []
    assert (await key_holder.client.get(f"/v1/sessions/{session['id']}")).status_code == 404
