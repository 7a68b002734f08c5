"""Write new memories inside somebody's transaction, and say what the index is to hear of once it is committed."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ports import Change, ToIndex
from app.memory.ledger import MemoryRepository, record_event
from app.memory.namespace import Namespace
from app.memory.new import NewMemory, Outcome, Remembered


@dataclass(frozen=True, slots=True)
class Added:
    event_id: UUID
    results: Sequence[Remembered]


async def write_memories(
    tx: AsyncSession, namespace: Namespace, new: Sequence[NewMemory], *, deduplicate: bool = True
) -> tuple[Added, list[Change]]:
    """Inside the caller's transaction; the changes are for the indexer, once that has been committed."""
    event_id = uuid.uuid4()
    found = await MemoryRepository(tx, namespace.project_id).add_all(
        namespace, new, deduplicate=deduplicate, event_id=event_id
    )
    results = [result for result, _ in found]
    await record_event(tx, namespace, event_id, "ADD", done=True, results=[as_result(each) for each in results])
    return Added(event_id, results), changes_of(namespace, new, found)


def changes_of(
    namespace: Namespace, new: Sequence[NewMemory], found: Sequence[tuple[Remembered, dt.datetime | None]]
) -> list[Change]:
    """Of those that were added, in order."""
    return [
        to_index(namespace, memory, version)
        for memory, (_, version) in zip(new, found, strict=True)
        if version is not None
    ]


def as_result(result: Remembered) -> dict[str, object]:
    return {"id": str(result.id), "event": "ADD" if result.outcome is Outcome.ADDED else "NONE"}


def to_index(namespace: Namespace, memory: NewMemory, version: dt.datetime) -> ToIndex:
    said_at = memory.created_at or version
    return ToIndex(memory.id, namespace.project_id, str(namespace), memory.content, memory.context, said_at, version)
