"""Up to a thousand changes at once: all of them or none, in one transaction."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from app.core.errors import BadRequest
from app.core.resources import Resources
from app.gateways.mem0.memories.delete import check_all_there, note_each
from app.gateways.mem0.memories.schemas import MOST_AT_ONCE, BatchChange, BatchId
from app.gateways.mem0.project_check import read_memory_id
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.edit import Caretaker, apply_change
from app.memory.forget import tell_index
from app.memory.indexing.changes import upsert_for_row
from app.memory.ledger.models import Memory
from app.memory.ledger.repository import MemoryRepository

Values = dict[str, object]


def read_ids(memories: Sequence[BatchChange | BatchId]) -> list[UUID]:
    if not 0 < len(memories) <= MOST_AT_ONCE:
        raise BadRequest(f"Send between 1 and {MOST_AT_ONCE} memories at once")
    ids = [read_memory_id(each.memory_id) for each in memories]
    if len(set(ids)) < len(ids):
        raise BadRequest("Each memory can be named once in a batch")
    return ids


def values_of(change: BatchChange) -> Values:
    values: Values = {"content": change.text, "metadata": change.metadata}
    sent = {name: value for name, value in values.items() if value is not None}
    if not sent:
        raise BadRequest("Each memory of the batch needs a `text`, a `metadata`, or both")
    return sent


async def update_batch(resources: Resources, caller: Caller, changes: Sequence[BatchChange]) -> int:
    wanted = dict(zip(read_ids(changes), map(values_of, changes), strict=True))
    who = Caretaker(caller.project_id, caller.user_id)
    async with caller_transaction(resources.database, caller) as tx:
        await check_all_there(tx, caller, list(wanted))
        changed = [await apply_change(tx, who, each, values) for each, values in wanted.items()]
    await resources.index_queue.put([upsert_for_row(memory) for memory in changed])
    await note_each(resources, caller, "UPDATE", list(wanted))
    return len(changed)


async def delete_batch(resources: Resources, caller: Caller, memories: Sequence[BatchId]) -> int:
    ids = read_ids(memories)
    async with caller_transaction(resources.database, caller) as tx:
        await check_all_there(tx, caller, ids)
        repository = MemoryRepository(tx, caller.project_id, caller.user_id)
        rows = (await tx.execute(select(Memory.id, Memory.namespace).where(Memory.id.in_(ids)))).all()
        deleted = await repository.delete_all(ids)
    await tell_index(resources, caller.project_id, {row.id: row.namespace for row in rows}, deleted)
    await note_each(resources, caller, "DELETE", deleted.ids)
    return len(deleted.ids)
