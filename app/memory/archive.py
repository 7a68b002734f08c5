"""Take a memory out of recall and back. It stays in the ledger, can be read by its id, and is not in the index."""

import uuid
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.deadlock import repeat_after_deadlock
from app.core.ports import IndexChange, IndexRemoval
from app.core.resources import Resources
from app.memory.edit import Owner
from app.memory.indexing import upsert_for_row
from app.memory.ledger import LedgerRepository, Memory, MemoryRepository, lock_linked, record_event
from app.memory.namespace import Namespace
from app.memory.supersession import find_replaced
from app.webhooks.announce import announce_memories
from app.webhooks.models import EventType


async def archive_row(repository: LedgerRepository, row: Memory) -> list[IndexChange]:
    """Return what the index must be told once this is committed: nothing if the row was archived before."""
    archived = await repository.archive_all([row.id])
    await repository.tx.refresh(row)
    return [IndexRemoval(each, row.project_id, row.namespace) for each in archived]


async def restore_row(repository: LedgerRepository, row: Memory) -> tuple[bool, list[IndexChange]]:
    """Whether the row was archived or superseded, and what the index must be told. It has superseded ones already."""
    restored = await repository.restore_all([row.id])
    await repository.tx.refresh(row)
    return bool(restored), [upsert_for_row(row)] if restored and row.state == "pending" else []


async def archive_memory(resources: Resources, owner: Owner, memory_id: UUID) -> Memory:
    """Does nothing if the memory is archived already."""
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        repository = MemoryRepository(tx, owner.project_id, owner.user_id)
        memory = await repository.lock(memory_id)
        archived = await archive_row(repository, memory)
        if archived:
            await _announce(tx, memory, EventType.MEMORY_ARCHIVE, "ARCHIVE", [memory_id])
    await resources.index_queue.put(archived)
    return memory


async def restore_memory(resources: Resources, owner: Owner, memory_id: UUID) -> Memory:
    """Undoes archiving and a replacement, and does nothing to a current memory."""
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        repository = MemoryRepository(tx, owner.project_id, owner.user_id)
        memory = await repository.lock(memory_id)
        is_restored, changes = await restore_row(repository, memory)
        if is_restored:
            await _announce(tx, memory, EventType.MEMORY_RESTORE, "RESTORE", [memory_id])
    await resources.index_queue.put(changes)
    return memory


@repeat_after_deadlock
async def restore_replaced(resources: Resources, owner: Owner, memory_id: UUID) -> list[UUID]:
    """Undo each replacement by this memory, except of archived memories: they stay out of recall."""
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        repository = MemoryRepository(tx, owner.project_id, owner.user_id)
        await lock_linked(tx, owner.project_id, [memory_id])
        memory = await repository.lock(memory_id)
        replaced = await find_replaced(tx, owner.project_id, memory_id, directly=True)
        current = await repository.find_all(replaced, Memory.archived_at.is_(None))
        restored = await repository.restore_all([each.id for each in current])
        await _announce(tx, memory, EventType.MEMORY_RESTORE, "RESTORE", restored)
    return restored


async def _announce(
    tx: AsyncSession, memory: Memory, event_type: EventType, event: str, changed: Sequence[UUID]
) -> None:
    if not changed:
        return
    namespace = Namespace(memory.project_id, memory.user_id, memory.profile_id)
    results = [{"id": str(each), "event": event} for each in changed]
    await record_event(tx, namespace, uuid.uuid4(), event, done=True, results=results)
    await announce_memories(tx, event_type, changed)
