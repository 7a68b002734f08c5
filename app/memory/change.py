"""Change and forget: the ledger in one transaction, the index right after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest
from app.core.ports import Change, ToIndex, ToRemove
from app.core.resources import Resources
from app.memory.indexing import load_versions
from app.memory.ledger import Deleted, MemoryRepository
from app.memory.models import Memory
from app.memory.namespace import Namespace
from app.memory.new import content_hash

AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Caretaker:
    """Who changes: a project, narrowed to one user where the caller is pinned to one."""

    project_id: UUID
    user_id: str | None = None


async def change_memory(resources: Resources, who: Caretaker, memory_id: UUID, values: Mapping[str, Any]) -> Memory:
    """`values` may hold content, metadata, expires_on, updated_at. What is not named stays as it is."""
    async with resources.database.transaction(who.project_id, who.user_id) as tx:
        memory = await apply_change(tx, who, memory_id, values)
    await resources.index_queue.put([as_change(memory)])
    return memory


async def apply_change(tx: AsyncSession, who: Caretaker, memory_id: UUID, values: Mapping[str, Any]) -> Memory:
    repository = MemoryRepository(tx, who.project_id, who.user_id)
    memory = await repository.locked(memory_id)
    if memory.immutable:
        raise BadRequest("This memory was stored as immutable: it can be deleted, but not changed", code="immutable")
    old = memory.content
    memory.content = values.get("content", memory.content)
    memory.metadata_ = values.get("metadata", memory.metadata_)
    if "expires_on" in values:
        memory.expires_on = values["expires_on"]
    memory.hash = content_hash(memory.content, memory.agent_id, memory.app_id, memory.run_id)
    memory.updated_at = values.get("updated_at") or func.clock_timestamp()
    memory.state = "pending"
    await repository.flush()
    await repository.note_change(memory, old)
    await tx.refresh(memory)
    return memory


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


def as_change(memory: Memory) -> ToIndex:
    return ToIndex(
        memory.id,
        memory.project_id,
        memory.namespace,
        memory.content,
        memory.context,
        memory.created_at,
        memory.updated_at,
    )
