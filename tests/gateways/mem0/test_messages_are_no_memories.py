"""No route of mem0's API, and nothing that works with memories, sees the messages of the conversation store."""

import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.ports import Role, SearchScope
from app.core.resources import Resources
from app.memory.categories.categorize import SELECT_UNCATEGORIZED_SQL
from app.memory.copy_profile import copy_memories
from app.memory.edit import Owner
from app.memory.extraction.known import KnownMemories
from app.memory.ledger import LedgerRepository
from app.memory.messages import MessageDraft, store_messages
from app.memory.namespace import Namespace
from app.memory.recall import Question, recall
from app.memory.user_profiles.repository import SELECT_USERS_WITH_MOST_MEMORIES_SQL
from app.profiles.repository import ProfileRepository

SENTINEL = "zanzibar"
TEXT = f"Alice drinks tea in {SENTINEL} on every sunny morning"
MINE = {"user_id": "alice"}
EVERYTHING = dict.fromkeys(("user_id", "agent_id", "app_id", "run_id"), "*")
NOW = {"reference_date": "2026-12-01T00:00:00Z"}
"""Scores depend on the age of a memory."""
READS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "list": ("POST", "/v3/memories/", {"filters": MINE}),
    "list of all users": ("POST", "/v3/memories/", {"filters": {"user_id": "*"}}),
    "list of all profiles": ("POST", "/v3/memories/", {"filters": MINE, "profile_id": "*"}),
    "list by metadata": ("POST", "/v3/memories/", {"filters": {**MINE, "metadata": {"topic": "tea"}}}),
    "older list": ("GET", "/v1/memories/?user_id=alice", None),
    "search": ("POST", "/v3/memories/search/", {"query": TEXT, "filters": MINE, "threshold": 0, **NOW}),
    "search of all users": ("POST", "/v3/memories/search/", {"query": TEXT, "filters": {"user_id": "*"}, **NOW}),
    "search with filter": (
        "POST",
        "/v3/memories/search/",
        {"query": TEXT, "filters": {**MINE, "metadata": {"topic": "tea"}}, **NOW},
    ),
    "entities": ("GET", "/v1/entities/", None),
    "summary": ("POST", "/v1/summary/", {}),
    "changes": ("GET", "/v1/memories/events/", None),
    "events": ("GET", "/v1/events/", None),
}

NEW_WEBHOOK = text("""
insert into webhooks (project_id, name, url, event_types)
values (:p, 'All', 'https://hooks.example', '{memory_add,memory_update,memory_delete,memory_categorize}')
""")
EXPIRING_PROJECT = text("""update projects set settings = '{"expiration_days": 1}' where id = :p""")


def draft(**values: Any) -> MessageDraft:
    given = {"conversation_id": "talk", "role": Role.USER, "content": TEXT, "metadata": {"topic": "tea"}}
    return MessageDraft(**{**given, **values})


def drafts() -> list[MessageDraft]:
    return [draft(user_id="alice"), draft(user_id="alice", tenant_id="my-app"), draft(), draft(user_id="bob")]


@pytest.fixture
async def world(client: httpx.AsyncClient, project_id: uuid.UUID) -> httpx.AsyncClient:
    body = {"messages": "Alice drinks tea", "infer": False, **MINE, "metadata": {"topic": "tea"}}
    assert (await client.post("/v3/memories/add/", json=body)).status_code == 200
    return client


async def store(resources: Resources, project_id: uuid.UUID) -> list[uuid.UUID]:
    stored = await store_messages(resources, Owner(project_id), drafts(), wait=True)
    assert [row.state for row in stored] == ["indexed"] * len(stored)
    return [row.id for row in stored]


async def namespace_of(resources: Resources, project_id: uuid.UUID) -> Namespace:
    async with resources.database.transaction(project_id) as tx:
        return Namespace(project_id, "alice", (await ProfileRepository(tx, project_id).default_of("alice")).id)


async def read_all(client: httpx.AsyncClient) -> dict[str, object]:
    answers: dict[str, object] = {}
    for name, (method, path, body) in READS.items():
        response = await client.request(method, path, json=body)
        assert response.status_code == 200, (name, response.text)
        answers[name] = response.json()
    # The searches above count, too.
    statistics: dict[str, object] = (await client.get("/v1/stats/")).json()
    return {**answers, "statistics": {**statistics, "total_retrieval_events": "not compared"}}


async def test_mem0_answers_the_same_with_and_without_messages(
    world: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    # Without memories of theirs, the users of the messages exist before, too.
    await namespace_of(resources, project_id)
    before = await read_all(world)
    await store(resources, project_id)
    after = await read_all(world)
    assert {name: after[name] for name in before if after[name] != before[name]} == {}


async def test_mem0_finds_no_message_by_its_id(
    world: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    message_id, *_ = map(str, await store(resources, project_id))
    one: dict[str, tuple[str, str, dict[str, Any] | None]] = {
        "get": ("GET", f"/v1/memories/{message_id}/", None),
        "history": ("GET", f"/v1/memories/{message_id}/history/", None),
        "update": ("PUT", f"/v1/memories/{message_id}/", {"text": "x"}),
        "delete": ("DELETE", f"/v1/memories/{message_id}/", None),
        "feedback": ("POST", "/v1/feedback/", {"memory_id": message_id, "feedback": "POSITIVE"}),
        "batch update": ("PUT", "/v1/batch/", {"memories": [{"memory_id": message_id, "text": "x"}]}),
        "batch delete": ("DELETE", "/v1/batch/", {"memories": [{"memory_id": message_id}]}),
    }
    statuses = {
        name: (await world.request(method, path, json=body)).status_code for name, (method, path, body) in one.items()
    }
    assert statuses == dict.fromkeys(one, 404)


async def test_delete_all_deletes_no_message(
    world: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    ids = await store(resources, project_id)
    assert (await world.delete("/v1/memories/", params=EVERYTHING)).status_code == 200
    async with resources.database.transaction(project_id) as tx:
        left = set(await tx.scalars(text("select id from memories where project_id = :p"), {"p": project_id}))
    assert left == set(ids)


async def test_deleted_messages_leave_no_change_in_the_history_of_memories(
    world: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    before = (await world.get("/v1/memories/events/")).json()
    message_id, *_ = await store(resources, project_id)
    async with resources.database.transaction(project_id) as tx:
        await LedgerRepository(tx, project_id).delete_all([message_id])
    assert (await world.get("/v1/memories/events/")).json() == before
    assert (await world.get(f"/v1/memories/{message_id}/history/")).status_code == 404


async def test_chat_and_extraction_do_not_know_messages(
    world: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    await store(resources, project_id)
    namespace = await namespace_of(resources, project_id)
    recalled = await recall(resources, Question(project_id, TEXT, (namespace,)))
    (known,) = await KnownMemories(resources, namespace).search([TEXT], 10)
    assert [each.memory.content for each in recalled] == ["Alice drinks tea"]
    assert [each.text for each in known] == ["Alice drinks tea"]


async def test_search_of_the_whole_project_recalls_no_message(
    world: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    await store(resources, project_id)
    recalled = await recall(resources, Question(project_id, TEXT, None))
    assert [each.memory.content for each in recalled] == ["Alice drinks tea"]


async def test_copy_of_a_profile_contains_no_message(
    world: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    await store(resources, project_id)
    namespace = await namespace_of(resources, project_id)
    async with resources.database.transaction(project_id) as tx:
        target = await ProfileRepository(tx, project_id).add(user_id="alice", name="Copy")
    assert await copy_memories(resources, namespace, target.id) == (1, 0)


async def test_messages_are_not_categorized_and_count_for_no_user_profile(
    resources: Resources, project_id: uuid.UUID
) -> None:
    await store(resources, project_id)
    values = {"project_id": project_id, "limit": 10, "by_model": True}
    async with resources.database.transaction(project_id) as tx:
        uncategorized = (await tx.execute(SELECT_UNCATEGORIZED_SQL, values)).all()
        users = (await tx.execute(SELECT_USERS_WITH_MOST_MEMORIES_SQL, values)).all()
    async with resources.database.system() as tx:
        jobs = await tx.scalar(
            text("select count(*) from jobs.procrastinate_jobs where queueing_lock = 'categorize:' || :p"),
            {"p": str(project_id)},
        )
    assert (uncategorized, users, jobs) == ([], [], 0)


async def test_messages_do_not_expire_and_are_told_to_no_webhook(resources: Resources, project_id: uuid.UUID) -> None:
    async with resources.database.transaction(project_id) as tx:
        await tx.execute(NEW_WEBHOOK, {"p": project_id})
    async with resources.database.system() as tx:
        await tx.execute(EXPIRING_PROJECT, {"p": project_id})
    values = {"p": project_id, "ids": await store(resources, project_id)}
    async with resources.database.transaction(project_id) as tx:
        expiring = await tx.scalar(text("select count(expires_on) from memories where project_id = :p"), values)
        await tx.execute(text("update memories set metadata = '{}', categories = '{tea}' where id = any(:ids)"), values)
        await tx.execute(text("delete from memories where id = any(:ids)"), values)
        told = await tx.scalar(text("select count(*) from webhook_deliveries where project_id = :p"), values)
    assert (expiring, told) == (0, 0)


async def test_search_of_the_whole_project_does_not_wait_for_messages(
    resources: Resources, project_id: uuid.UUID
) -> None:
    """Messages on their way into the index are in queues of their own."""
    await store_messages(resources, Owner(project_id), drafts())
    assert await resources.index_queue.wait_until_indexed(project_id, None, seconds=0)


async def test_words_of_messages_do_not_count_for_memories(
    world: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    (vector,) = await resources.embedder.embed([TEXT])
    scope = SearchScope(project_id, None)
    await resources.index_queue.wait_until_indexed(project_id, None)
    before = await resources.index.find_candidates(scope, vector, TEXT, 10)
    await store(resources, project_id)
    assert await resources.index.find_candidates(scope, vector, TEXT, 10) == before
