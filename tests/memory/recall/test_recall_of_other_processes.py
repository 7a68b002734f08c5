"""Several processes with one Postgres and one shared index: a search finds what another process has acknowledged."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import NamedTuple

import pytest_asyncio
from sqlalchemy import event

from app.adapters.vectors.pgvector import PgVectorIndex
from app.core.database.database import Database
from app.core.ports import VectorIndex
from app.core.resources import Resources
from app.memory.edit import Owner, change_memory
from app.memory.indexing import Indexer
from app.memory.ledger import Kind
from app.memory.namespace import Namespace
from app.settings import Settings
from app.wiring.postgres import encrypt_content
from tests.contracts.vector_index import empty_pgvector
from tests.memory.namespaces import add_memories, contents, execute_sql, load_memory, search

ROUNDS = 30


class TwoProcesses(NamedTuple):
    first: Resources
    second: Resources


async def open_process(resources: Resources, database: Database) -> Resources:
    embedder = resources.embedder
    index: VectorIndex = await PgVectorIndex.open(database, embedder.name, embedder.dimensions)
    queue = Indexer(database, embedder, index)
    queue.start()
    return replace(resources, database=database, index=index, index_queue=queue)


@pytest_asyncio.fixture
async def processes(resources: Resources, settings: Settings) -> AsyncIterator[TwoProcesses]:
    await empty_pgvector(resources.database)
    assert settings.database_url is not None
    other = Database(resources.database.url)
    encrypt_content(other, settings)
    first, second = await open_process(resources, resources.database), await open_process(resources, other)
    yield TwoProcesses(first, second)
    for each in (first, second):
        assert isinstance(each.index_queue, Indexer)
        await each.index_queue.close()
    await other.close()
    await empty_pgvector(resources.database)


async def test_search_finds_what_another_process_added_a_moment_before(
    processes: TwoProcesses, namespace: Namespace
) -> None:
    for number in range(ROUNDS):
        await add_memories(processes.first, namespace, f"Booking number {number} is for {uuid.uuid4().hex}")
        found = await search(processes.second, namespace, "Which bookings are there?", top_k=100)
        assert len(found) == number + 1


async def test_search_finds_what_another_process_changed_a_moment_before(
    processes: TwoProcesses, namespace: Namespace
) -> None:
    [memory_id, *_] = await add_memories(processes.first, namespace, "I like tea", *(f"Note {n}" for n in range(60)))
    await processes.first.index_queue.wait_until_indexed(namespace.project_id, None)
    for animal in ("zebra", "walrus", "quokka"):
        owner = Owner(namespace.project_id)
        await change_memory(processes.first, owner, memory_id, {"content": f"I saw a {animal}"})
        best = (await search(processes.second, namespace, animal, top_k=1))[0]
        assert best.memory.content == f"I saw a {animal}"
        assert best.parts["words"] > 0, "the index has the new words"


async def test_search_of_the_project_finds_what_another_process_added(
    processes: TwoProcesses, namespace: Namespace
) -> None:
    await add_memories(processes.first, namespace, "I like green tea")
    found = await processes.second.index_queue.wait_until_indexed(namespace.project_id, None, seconds=5)
    assert found
    assert len(await search(processes.second, namespace, "tea")) == 1


async def test_chat_does_not_wait_for_turns_at_another_process(processes: TwoProcesses, namespace: Namespace) -> None:
    await add_memories(processes.first, namespace, "I like tea", kind=Kind.EPISODE, source_message_id=uuid.uuid4())
    await processes.first.index_queue.wait_until_indexed(namespace.project_id, None)
    await mark_pending(processes.first, namespace)
    queue = processes.second.index_queue
    assert await queue.wait_until_indexed(namespace.project_id, [str(namespace)], include_chat=False, seconds=0.1)
    assert not await queue.wait_until_indexed(namespace.project_id, [str(namespace)], seconds=0.1)


async def test_search_waits_only_once_for_a_memory_that_is_not_indexed(
    processes: TwoProcesses, namespace: Namespace
) -> None:
    """As after a crash of the other process, until the sweep indexes it."""
    await add_memories(processes.first, namespace, "I like tea")
    await processes.first.index_queue.wait_until_indexed(namespace.project_id, None)
    await mark_pending(processes.first, namespace)
    queue = processes.second.index_queue
    assert not await queue.wait_until_indexed(namespace.project_id, [str(namespace)], seconds=0.1)
    assert await queue.wait_until_indexed(namespace.project_id, [str(namespace)], seconds=0.1)


async def test_search_finds_what_a_process_left_behind_when_it_ended(
    processes: TwoProcesses, namespace: Namespace
) -> None:
    ids = await add_memories(processes.first, namespace, "I like tea", "I have a canoe")
    await processes.first.index_queue.wait_until_indexed(namespace.project_id, None)
    await processes.first.index.remove(ids)
    await mark_pending(processes.first, namespace)
    found = await search(processes.second, namespace, "What do I like to drink?")
    assert set(contents(found)) == {"I like tea", "I have a canoe"}
    memories = [await load_memory(processes.first, namespace, each) for each in ids]
    assert [memory.state for memory in memories if memory] == ["indexed", "indexed"]


async def mark_pending(resources: Resources, namespace: Namespace) -> None:
    await execute_sql(
        resources, namespace, "update memories set state = 'pending' where namespace = :name", name=str(namespace)
    )


async def test_embedded_index_asks_the_ledger_nothing(resources: Resources, namespace: Namespace) -> None:
    await add_memories(resources, namespace, "I like tea")
    await resources.index_queue.wait_until_indexed(namespace.project_id, None)
    borrowed: list[object] = []
    pool = resources.database.engine.sync_engine.pool
    event.listen(pool, "checkout", lambda *given: borrowed.append(given))
    await resources.index_queue.wait_until_indexed(namespace.project_id, [str(namespace)])
    assert borrowed == []
    assert contents(await search(resources, namespace, "tea")) == ["I like tea"]
    assert len(borrowed) == 1, "one round trip, for the rows"
