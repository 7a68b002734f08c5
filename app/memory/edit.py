"""Change and forget: the ledger in one transaction, the index right after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest
from app.core.resources import Resources
from app.memory.indexing.changes import as_change
from app.memory.ledger.models import Memory
from app.memory.ledger.new_memory import content_hash
from app.memory.ledger.repository import MemoryRepository


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
