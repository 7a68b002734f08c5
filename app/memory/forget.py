from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, select

from app.core.ports import Change, ToRemove
from app.core.resources import Resources
from app.memory.edit import Caretaker
from app.memory.indexing.indexer import load_versions
from app.memory.ledger.models import Memory
from app.memory.ledger.repository import Deleted, MemoryRepository
from app.memory.namespace import Namespace

AT_ONCE = 1000


async def forget(resources: Resources, namespace: Namespace, ids: Sequence[UUID]) -> list[UUID]:
    """Those of the ids that are in this namespace, with every word of them in the history."""
    where = [Memory.namespace == str(namespace), Memory.id.in_(ids)]
    return await forget_where(resources, Caretaker(namespace.project_id, namespace.user_id), where)


async def forget_where(resources: Resources, who: Caretaker, where: Sequence[ColumnElement[bool]]) -> list[UUID]:
    """Everything that matches, a thousand at a time, so that no transaction grows with what there is."""
    gone: list[UUID] = []
    while found := await _forget_some(resources, who, where):
        gone += found
    return gone


async def _forget_some(resources: Resources, who: Caretaker, where: Sequence[ColumnElement[bool]]) -> list[UUID]:
    async with resources.database.transaction(who.project_id, who.user_id) as tx:
        repository = MemoryRepository(tx, who.project_id, who.user_id)
        # The newest first: what carries words of another comes after it, and has gone before.
        newest = select(Memory.id, Memory.namespace).order_by(Memory.created_at.desc(), Memory.id.desc())
        rows = (await tx.execute(newest.where(*repository.mine(), *where).limit(AT_ONCE))).all()
        deleted = await repository.delete_all([row.id for row in rows])
    await tell_index(resources, who.project_id, {row.id: row.namespace for row in rows}, deleted)
    return deleted.ids


async def tell_index(resources: Resources, project_id: UUID, namespaces: Mapping[UUID, str], deleted: Deleted) -> None:
    """Once it is committed."""
    gone: list[Change] = [ToRemove(each, project_id, namespaces[each]) for each in deleted.ids]
    changed = await load_versions(resources.database, project_id, deleted.around) if deleted.around else []
    await resources.index_queue.put([*gone, *changed])
