"""Short functions for tests of the engine."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Row, select, text

from app.core.ports import IndexEntry, VectorIndex
from app.core.resources import Resources
from app.memory.ledger import Memory, MemoryEvent, MemoryHistory, NewMemory
from app.memory.namespace import Namespace
from app.memory.recall import Question, Recalled, recall
from app.memory.remember import remember
from app.profiles.repository import ProfileRepository
from tests.patience import PATIENCE_SECONDS

NEW_PROJECT = text(
    "with o as (insert into organizations (name) values ('Test') returning id)"
    " insert into projects (organization_id, name) select id, 'Test' from o returning id"
)


async def new_project(resources: Resources) -> UUID:
    async with resources.database.system() as tx:
        return UUID(str((await tx.execute(NEW_PROJECT)).scalar_one()))


async def create_namespace(resources: Resources, project_id: UUID, user_id: str = "ann") -> Namespace:
    async with resources.database.transaction(project_id) as tx:
        profile = await ProfileRepository(tx, project_id).default_of(user_id)
    return Namespace(project_id, user_id, profile.id)


async def add_memories(resources: Resources, namespace: Namespace, *contents: str, **values: Any) -> list[UUID]:
    added = await remember(resources, namespace, [NewMemory(content, **values) for content in contents])
    return [each.id for each in added.results]


async def search(resources: Resources, namespace: Namespace, words: str, **values: Any) -> list[Recalled]:
    return await recall(resources, Question(namespace.project_id, words, (namespace,), **values))


def contents(found: Sequence[Recalled]) -> list[str]:
    return [each.memory.content for each in found]


async def load_memory(resources: Resources, namespace: Namespace, memory_id: UUID) -> Memory | None:
    async with resources.database.transaction(namespace.project_id) as tx:
        found: Memory | None = await tx.scalar(select(Memory).where(Memory.id == memory_id))
    return found


async def load_history(resources: Resources, namespace: Namespace, memory_id: UUID) -> list[MemoryHistory]:
    async with resources.database.transaction(namespace.project_id) as tx:
        query = select(MemoryHistory).where(MemoryHistory.memory_id == memory_id).order_by(MemoryHistory.position)
        return list(await tx.scalars(query))


async def load_event(resources: Resources, namespace: Namespace, event_id: UUID) -> MemoryEvent:
    async with resources.database.transaction(namespace.project_id) as tx:
        return (await tx.execute(select(MemoryEvent).where(MemoryEvent.id == event_id))).scalar_one()


async def wait_until_ended(
    resources: Resources, namespace: Namespace, event_id: UUID, seconds: float = PATIENCE_SECONDS
) -> MemoryEvent:
    """Wait until the event has ended, and return it."""
    async with asyncio.timeout(seconds):
        while True:
            event = await load_event(resources, namespace, event_id)
            if event.status not in ("PENDING", "RUNNING"):
                return event
            await asyncio.sleep(0.02)


async def execute_sql(resources: Resources, namespace: Namespace, sql: str, **values: Any) -> None:
    async with resources.database.transaction(namespace.project_id) as tx:
        await tx.execute(text(sql), values)


async def enable_consolidation(resources: Resources, namespace: Namespace) -> None:
    sql = """update projects set settings = settings || '{"consolidate": true}' where id = :project_id"""
    await execute_sql(resources, namespace, sql, project_id=namespace.project_id)


async def execute_sql_as_system(resources: Resources, sql: str, **values: Any) -> Sequence[Row[Any]]:
    async with resources.database.system() as tx:
        found = await tx.execute(text(sql), values)
        return found.all() if isinstance(found, CursorResult) and found.returns_rows else []


async def put_vector(resources: Resources, namespace: Namespace, words: str, memory_id: UUID | None = None) -> UUID:
    """Write a vector to the index alone, as a crash could leave it."""
    memory_id = memory_id or uuid.uuid4()
    (vector,) = await resources.embedder.embed([words])
    await resources.index.upsert([IndexEntry(memory_id, namespace.project_id, str(namespace), vector, words)])
    return memory_id


async def wait_until_indexed(resources: Resources, namespace: Namespace) -> VectorIndex:
    await resources.index_queue.wait_until_indexed(namespace.project_id, None)
    return resources.index
