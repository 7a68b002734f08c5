"""Copy a profile's memories into another profile of the same user, as they are."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from app.core.ports import Role
from app.core.resources import Resources
from app.memory.ledger.models import Memory, visible
from app.memory.ledger.new_memory import Kind, NewMemory, Outcome
from app.memory.ledger.repository import MemoryRepository
from app.memory.namespace import Namespace
from app.memory.remember import remember

AT_ONCE = 200


async def copy_memories(resources: Resources, source: Namespace, to_profile_id: UUID) -> tuple[int, int]:
    """How many were copied, how many were there already. Part by part: no transaction grows with the profile."""
    target = replace(source, profile_id=to_profile_id)
    copied, known, cursor = 0, 0, None
    while True:
        memories, cursor = await _read_some(resources, source, cursor)
        if memories:
            added = await remember(resources, target, [_again(memory) for memory in memories])
            fresh = sum(result.outcome is Outcome.ADDED for result in added.results)
            copied, known = copied + fresh, known + len(memories) - fresh
        if cursor is None:
            return copied, known


async def _read_some(
    resources: Resources, source: Namespace, cursor: str | None
) -> tuple[Sequence[Memory], str | None]:
    async with resources.database.transaction(source.project_id, source.user_id) as tx:
        memories = MemoryRepository(tx, source.project_id, source.user_id)
        page = await memories.page(AT_ONCE, cursor, Memory.namespace == str(source), *visible())
    return page.results, page.next


def _again(memory: Memory) -> NewMemory:
    return NewMemory(
        memory.content,
        kind=Kind(memory.kind),
        role=Role(memory.role),
        context=memory.context,
        agent_id=memory.agent_id,
        app_id=memory.app_id,
        run_id=memory.run_id,
        metadata=memory.metadata_,
        categories=tuple(memory.categories) if memory.categories is not None else None,
        importance=memory.importance,
        immutable=memory.immutable,
        expires_on=memory.expires_on,
        created_at=memory.created_at,
        updated_at=memory.updated_at,
        source_message_id=memory.source_message_id,
    )
