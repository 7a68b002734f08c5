"""Delete memories from the ledger, then from the index."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, select

from app.core.database.deadlock import repeat_after_deadlock
from app.core.ports import IndexChange, IndexRemoval
from app.core.resources import Resources
from app.memory.edit import Owner
from app.memory.filters import Filter, filter_transaction
from app.memory.indexing import load_upserts
from app.memory.ledger import DeletedMemories, Memory, MemoryRepository
from app.memory.namespace import Namespace

BATCH_SIZE = 1000


async def forget(resources: Resources, namespace: Namespace, ids: Sequence[UUID]) -> list[UUID]:
    """Delete those of the ids that are in this namespace, with all their words in the history."""
    where = [Memory.namespace == str(namespace), Memory.id.in_(ids)]
    return await forget_where(resources, Owner(namespace.project_id, namespace.user_id), where)


async def forget_where(
    resources: Resources, owner: Owner, where: Sequence[ColumnElement[bool]], condition: Filter | None = None
) -> list[UUID]:
    """In batches, so that no transaction grows with the number of matches. `condition` is the filter in `where`."""
    deleted_ids: list[UUID] = []
    while batch := await _forget_batch(resources, owner, where, condition):
        deleted_ids += batch
    return deleted_ids


async def _forget_batch(
    resources: Resources, owner: Owner, where: Sequence[ColumnElement[bool]], condition: Filter | None
) -> list[UUID]:
    # Newest first: a memory that carries words of an older one in its context is deleted before that one.
    newest = select(Memory.id, Memory.namespace).order_by(Memory.created_at.desc(), Memory.id.desc()).limit(BATCH_SIZE)
    async with filter_transaction(resources.database, condition, owner.project_id, owner.user_id) as tx:
        mine = MemoryRepository(tx, owner.project_id, owner.user_id).mine()
        rows = (await tx.execute(newest.where(*mine, *where))).all()
    deleted = await _delete_rows(resources, owner, [row.id for row in rows])
    await remove_from_index(resources, owner.project_id, {row.id: row.namespace for row in rows}, deleted)
    return deleted.ids


@repeat_after_deadlock
async def _delete_rows(resources: Resources, owner: Owner, ids: Sequence[UUID]) -> DeletedMemories:
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        return await MemoryRepository(tx, owner.project_id, owner.user_id).delete_all(ids)


async def remove_from_index(
    resources: Resources, project_id: UUID, namespaces: Mapping[UUID, str], deleted: DeletedMemories
) -> None:
    """For use after the commit of `delete_all`."""
    changes: list[IndexChange] = [IndexRemoval(each, project_id, namespaces[each]) for each in deleted.ids]
    if deleted.without_context:
        changes += await load_upserts(resources.database, project_id, deleted.without_context)
    await resources.index_queue.put(changes)
