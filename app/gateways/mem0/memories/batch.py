"""/v1/batch/: up to a thousand changes in one transaction. Either all of them apply, or none."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import select

from app.core.database.deadlock import repeat_after_deadlock
from app.core.errors import BadRequest
from app.core.http.schemas import Done
from app.core.resources import Resources, ResourcesDep
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.memories.delete import check_all_exist, lock_existing, record_memory_events
from app.gateways.mem0.memories.schemas import (
    MAX_BATCH_SIZE,
    BatchDelete,
    BatchDeleteItem,
    BatchUpdate,
    BatchUpdateItem,
)
from app.gateways.mem0.project_check import check_project_matches, parse_memory_id
from app.identity.caller import Caller, MemoryWriter
from app.identity.transaction import caller_transaction
from app.memory.edit import Owner, apply_change
from app.memory.forget import remove_from_index
from app.memory.indexing import upsert_for_row
from app.memory.ledger import DeletedMemories, Memory, MemoryRepository, lock_linked

router = APIRouter(prefix="/v1/batch", tags=["Memories"], responses=ERROR_RESPONSES, route_class=Mem0Route)


@router.put("/")
async def update_memory_batch(body: BatchUpdate, caller: MemoryWriter, resources: ResourcesDep) -> Done:
    """Updates up to 1000 memories: either all of them, or none. Fields that are not sent keep their value."""
    check_project_matches(caller, body)
    count = await update_batch(resources, caller, body.memories)
    return Done(message=f"Successfully updated {count} memories")


@router.delete("/")
async def delete_memory_batch(body: BatchDelete, caller: MemoryWriter, resources: ResourcesDep) -> Done:
    """Deletes up to 1000 memories, named in the body: either all of them, or none."""
    check_project_matches(caller, body)
    count = await delete_batch(resources, caller, body.memories)
    return Done(message=f"Successfully deleted {count} memories")


def read_ids(memories: Sequence[BatchUpdateItem | BatchDeleteItem]) -> list[UUID]:
    if not 0 < len(memories) <= MAX_BATCH_SIZE:
        raise BadRequest(f"Send between 1 and {MAX_BATCH_SIZE} memories")
    ids = [parse_memory_id(memory.memory_id) for memory in memories]
    if len(set(ids)) < len(ids):
        raise BadRequest("A batch can contain each memory only once")
    return ids


def read_batch_change(item: BatchUpdateItem) -> dict[str, object]:
    values: dict[str, object] = {"content": item.text, "metadata": item.metadata}
    changes = {name: value for name, value in values.items() if value is not None}
    if not changes:
        raise BadRequest("Each memory of a batch needs `text`, `metadata` or both")
    return changes


async def update_batch(resources: Resources, caller: Caller, items: Sequence[BatchUpdateItem]) -> int:
    changes = dict(zip(read_ids(items), map(read_batch_change, items), strict=True))
    changed = await _change_rows(resources, caller, changes)
    await resources.index_queue.put([upsert_for_row(memory) for memory in changed])
    await record_memory_events(resources, caller, "UPDATE", list(changes))
    return len(changed)


@repeat_after_deadlock
async def _change_rows(
    resources: Resources, caller: Caller, changes: Mapping[UUID, Mapping[str, object]]
) -> list[Memory]:
    owner = Owner(caller.project_id, caller.user_id)
    async with caller_transaction(resources.database, caller) as tx:
        await lock_linked(tx, caller.project_id, list(changes))
        await lock_existing(tx, caller, list(changes))
        return [await apply_change(tx, owner, memory_id, values) for memory_id, values in changes.items()]


async def delete_batch(resources: Resources, caller: Caller, memories: Sequence[BatchDeleteItem]) -> int:
    ids = read_ids(memories)
    namespaces, deleted = await _delete_rows(resources, caller, ids)
    await remove_from_index(resources, caller.project_id, namespaces, deleted)
    await record_memory_events(resources, caller, "DELETE", deleted.ids)
    return len(deleted.ids)


@repeat_after_deadlock
async def _delete_rows(
    resources: Resources, caller: Caller, ids: Sequence[UUID]
) -> tuple[dict[UUID, str], DeletedMemories]:
    async with caller_transaction(resources.database, caller) as tx:
        repository = MemoryRepository(tx, caller.project_id, caller.user_id)
        query = select(Memory.id, Memory.namespace).where(*repository.mine(), Memory.id.in_(ids))
        namespaces = {row.id: row.namespace for row in await tx.execute(query)}
        check_all_exist(ids, namespaces)
        deleted = await repository.delete_all(ids)
        check_all_exist(ids, deleted.ids)  # another request may have deleted one meanwhile
    return namespaces, deleted
