"""Move a memory to another profile of its user, with the older memories that it replaced and with their history."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.deadlock import repeat_after_deadlock
from app.core.errors import BadRequest, Conflict
from app.core.ports import IndexRemoval
from app.core.resources import Resources
from app.memory.documents import load_documents
from app.memory.edit import Owner
from app.memory.extraction import is_interim
from app.memory.indexing import upsert_for_row
from app.memory.ledger import Memory, MemoryRepository, document_path, lock_chains, record_event
from app.memory.namespace import Namespace
from app.profiles.repository import ProfileRepository

NO_USER = "This memory belongs to no user, and profiles belong to users. It cannot be moved."
SUPERSEDED = "A newer memory replaced this one. Move the newer one: its older versions move with it."
STILL_READ = "This memory is still being read for facts. Try again in a moment."
MAX_MOVED = 1000
"""Memories, with those that were replaced. Each is embedded again for its new profile."""
TOO_LONG = (
    f"This memory has replaced {MAX_MOVED} or more older ones, which would move with it. Delete older ones first, or"
    " copy the profile."
)
PATH_TAKEN = "The profile has a memory with the same path in its memory store. Change one of the two paths first."
ALREADY_THERE = "The profile already contains this memory. Delete one of the two."
SELECT_WITH_REPLACED_SQL = text("""
with recursive moved as (
  select id, namespace from memories where project_id = :project_id and id = :id
  union
  select m.id, m.namespace from memories m join moved on m.replaced_by = moved.id
  where m.project_id = :project_id and m.namespace = moved.namespace
)
select id from moved limit :limit
""")
SELECT_TWIN_SQL = text("""
select exists (select from memories where project_id = :project_id and namespace = :target and hash = :hash
  and archived_at is null and replaced_by is null and (expires_on is null or expires_on >= current_date))
""")
# The turn before, which is indexed with an episode, belongs to the old profile.
MOVE_MEMORIES_SQL = text("""
with moved as (
  update memories set profile_id = :profile_id, namespace = :target, context = null, state = 'pending',
    updated_at = clock_timestamp()
  where project_id = :project_id and id = any(:ids)
  returning id, user_id, agent_id, app_id, run_id, kind
)
insert into memory_history (project_id, memory_id, user_id, agent_id, app_id, run_id, kind, event, metadata)
select :project_id, id, user_id, agent_id, app_id, run_id, kind, 'MOVE', cast(:metadata as jsonb) from moved
""")


@repeat_after_deadlock
async def move_memory(resources: Resources, owner: Owner, memory_id: UUID, to_profile_id: UUID) -> Memory:
    """Does nothing if the memory is in that profile already."""
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        repository = MemoryRepository(tx, owner.project_id, owner.user_id)
        await lock_chains(tx, owner.project_id, [memory_id])
        values = {"project_id": owner.project_id, "id": memory_id, "limit": MAX_MOVED + 1}
        ids = list(await tx.scalars(SELECT_WITH_REPLACED_SQL, values))
        if len(ids) > MAX_MOVED:
            raise Conflict(TOO_LONG, code="too_many_versions")
        carriers = await repository.lock_with_carriers(ids)
        memory = await repository.lock(memory_id)
        if memory.user_id is None:
            raise BadRequest(NO_USER)
        await ProfileRepository(tx, owner.project_id).of_user(memory.user_id, to_profile_id)
        if memory.profile_id == to_profile_id:
            return memory
        source = Namespace(memory.project_id, memory.user_id, memory.profile_id)
        await _check_movable(tx, memory, replace(source, profile_id=to_profile_id))
        without_context = await repository.clear_contexts(carriers)
        await _move(tx, ids, source, to_profile_id)
        changed = await repository.find_all([*ids, *without_context])
        await tx.refresh(memory)
    # A search of the old profile waits for the removal, and one of the new profile for the upsert.
    removals = [IndexRemoval(each, source.project_id, str(source)) for each in ids]
    current = [each for each in changed if each.archived_at is None]
    await resources.index_queue.put([*map(upsert_for_row, current), *removals])
    return memory


async def _check_movable(tx: AsyncSession, memory: Memory, target: Namespace) -> None:
    if memory.replaced_by is not None:
        raise Conflict(SUPERSEDED)
    if await MemoryRepository(tx, memory.project_id).find_all([memory.id], is_interim()):
        raise Conflict(STILL_READ)
    values = {"project_id": memory.project_id, "target": str(target), "hash": memory.hash}
    if memory.archived_at is None and await tx.scalar(SELECT_TWIN_SQL, values):
        raise Conflict(ALREADY_THERE)
    path = document_path(memory.metadata_)
    if path is not None and await load_documents(tx, target, [path]):
        raise Conflict(PATH_TAKEN)


async def _move(tx: AsyncSession, ids: Sequence[UUID], source: Namespace, to_profile_id: UUID) -> None:
    target = replace(source, profile_id=to_profile_id)
    metadata = {"from_profile_id": str(source.profile_id), "to_profile_id": str(to_profile_id)}
    values = {"project_id": source.project_id, "ids": ids, "profile_id": to_profile_id, "target": str(target)}
    await tx.execute(MOVE_MEMORIES_SQL, {**values, "metadata": json.dumps(metadata)})
    results = [{"id": str(each), "event": "MOVE"} for each in ids]
    await record_event(tx, target, uuid.uuid4(), "MOVE", done=True, results=results)
