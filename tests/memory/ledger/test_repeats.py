"""The same statement in two chats is one memory with two sources."""

import datetime as dt
from pathlib import Path
from uuid import UUID, uuid4

import httpx
from sqlalchemy import text

from app.core.database.database import Database
from app.core.ports import Role
from app.core.resources import Resources
from app.memory.ledger import Door, NewMemory, Repeat, repeats_statement
from app.memory.ledger.repeats import MAX_REPEATS
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.remember import remember
from app.sessions.models import Message
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository
from tests.memory.namespaces import load_history, load_memory
from tests.portability.files import export_file, import_file, other_project

FACT = "User likes green tea"


async def chat(resources: Resources, namespace: Namespace) -> Message:
    """A session with one message."""
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        session = await SessionRepository(tx, namespace.project_id).open(
            uuid4(), user_id=namespace.user_id, profile_id=namespace.profile_id
        )
        messages = MessageRepository(tx, namespace.project_id)
        return await messages.append(session, "user", "I like green tea", mode=PrivacyMode.NORMAL)


def fact_of(message: Message, role: Role = Role.USER) -> NewMemory:
    return NewMemory(
        FACT,
        role=role,
        origin=Origin(user_id="ann", run_id=str(message.session_id)),
        door=Door.CHAT,
        source_message_id=message.id,
        created_at=dt.datetime(2026, 5, 1, tzinfo=dt.UTC),
    )


async def repeat(resources: Resources, namespace: Namespace, memory_id: UUID, new: NewMemory) -> None:
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        await tx.execute(*repeats_statement(namespace.project_id, [Repeat(memory_id, new)]))


async def sources(client: httpx.AsyncClient, memory_id: UUID) -> list[tuple[str | None, str, str | None]]:
    found = (await client.get(f"/v1/memories/{memory_id}/")).json()["sources"]
    return [(each["session_id"], each["source"], each["message_id"]) for each in found]


async def test_memory_lists_its_sources_until_their_messages_are_deleted(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace
) -> None:
    first, second, third = [await chat(resources, namespace) for _ in range(3)]
    (added,) = (await remember(resources, namespace, [fact_of(first)])).results
    of_first, of_second = ((str(each.session_id), "user", str(each.id)) for each in (first, second))
    of_third = (str(third.session_id), "assistant", str(third.id))
    assert await sources(client, added.id) == [of_first]
    await repeat(resources, namespace, added.id, fact_of(second))
    await repeat(resources, namespace, added.id, fact_of(third, Role.ASSISTANT))
    await repeat(resources, namespace, added.id, fact_of(first))
    assert await sources(client, added.id) == [of_first, of_second, of_third]
    entry = (await client.get(f"/v1/memories/{added.id}/history/")).json()[1]
    assert (entry["event"], entry["session_id"], entry["metadata"]["door"]) == ("REPEAT", of_second[0], "chat")
    assert entry["created_at"].startswith("2026-05-01")
    memory = await load_memory(resources, namespace, added.id)
    assert memory is not None
    assert (memory.source, memory.run_id) == ("assistant", of_first[0])

    assert (await client.delete(f"/v1/sessions/{second.session_id}")).status_code == 200
    assert await sources(client, added.id) == [of_first, of_third]
    receipt = (await client.post("/v1/erase", json={"session_id": of_third[0]})).json()["receipt"]
    assert (receipt["removed"]["memory_history"], receipt["left"]["memory_history"]) == (1, 0)
    assert [each for each, _, _ in await sources(client, added.id)] == [of_first[0]]


async def test_words_added_again_have_a_source_for_each_request_up_to_a_limit(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace
) -> None:
    twice = [NewMemory(FACT, door=Door.MCP), NewMemory(FACT, door=Door.MCP)]
    (first, twin) = (await remember(resources, namespace, twice)).results
    assert first.id == twin.id
    for door in (Door.MEM0, Door.OPENAI):
        again = await remember(resources, namespace, [NewMemory(FACT, door=door), NewMemory(FACT, door=door)])
        assert {each.id for each in again.results} == {first.id}
    found = (await client.get(f"/v1/memories/{first.id}/")).json()["sources"]
    assert [each["door"] for each in found] == ["mcp", "mem0", "openai"]
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        for _ in range(MAX_REPEATS):
            await tx.execute(*repeats_statement(namespace.project_id, [Repeat(first.id, NewMemory(FACT))]))
    assert len(await load_history(resources, namespace, first.id)) == 1 + MAX_REPEATS


async def test_deleting_a_run_removes_it_from_the_sources(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace
) -> None:
    (added,) = (await remember(resources, namespace, [NewMemory(FACT, origin=Origin(user_id="ann"))])).results
    for run in ("spring", "summer"):
        await repeat(resources, namespace, added.id, NewMemory(FACT, origin=Origin(user_id="ann", run_id=run)))
    deleted = await client.delete("/v1/memories/", params={"user_id": "ann", "run_id": "spring"})
    assert deleted.status_code == 200
    assert [each for each, _, _ in await sources(client, added.id)] == [None, "summer"]


async def test_sources_are_exported_and_imported_with_the_ids_of_their_messages(
    database: Database, resources: Resources, namespace: Namespace, tmp_path: Path
) -> None:
    first, second = [await chat(resources, namespace) for _ in range(2)]
    (added,) = (await remember(resources, namespace, [fact_of(first)])).results
    await repeat(resources, namespace, added.id, fact_of(second))
    await export_file(database, namespace.project_id, tmp_path / "all.jsonl")
    other = await other_project(database)
    assert (await import_file(database, other, tmp_path / "all.jsonl")).problems == []
    async with database.transaction(other) as tx:
        found = await tx.execute(
            text("""
            select m.id <> cast(:id as uuid) as is_renamed, h.run_id from memory_history h
            join messages m on m.project_id = h.project_id and h.metadata ->> 'message_id' = cast(m.id as text)
            where h.project_id = :project_id and h.event = 'REPEAT'"""),
            {"id": second.id, "project_id": other},
        )
        assert [tuple(row) for row in found] == [(True, str(second.session_id))]
