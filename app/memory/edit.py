from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.content import stored_digest
from app.core.database.deadlock import repeat_after_deadlock
from app.core.errors import BadRequest
from app.core.resources import Resources
from app.core.storable_text import is_blank
from app.memory.importance import check_importance, importance_in
from app.memory.indexing import upsert_for_row
from app.memory.ledger import DOCUMENT_PATH, Memory, MemoryRepository, content_hash, document_path
from app.profiles.repository import ProfileRepository

STORE_ARCHIVED = "This memory store is archived. Its memories can be read and deleted."


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose memories a call may change: a project's, or only one user's if the caller is limited to one."""

    project_id: UUID
    user_id: str | None = None


@repeat_after_deadlock
async def change_memory(resources: Resources, owner: Owner, memory_id: UUID, values: Mapping[str, Any]) -> Memory:
    """Change one memory in the ledger, then in the index."""
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        memory = await apply_change(tx, owner, memory_id, values)
    await resources.index_queue.put([upsert_for_row(memory)])
    return memory


async def apply_change(
    tx: AsyncSession, owner: Owner, memory_id: UUID, values: Mapping[str, Any], *, moves_document: bool = False
) -> Memory:
    """`values` may hold content, metadata, expires_on, standing and updated_at; what is missing stays as it is."""
    repository = MemoryRepository(tx, owner.project_id, owner.user_id)
    memory = await repository.lock_to_change(memory_id)
    await _check_changeable(tx, memory)
    if "content" in values and is_blank(values["content"]):
        raise BadRequest("A memory needs text. Send visible characters, or delete the memory.", code="blank")
    old_content = memory.content
    memory.content = values.get("content", memory.content)
    if "metadata" in values:
        metadata = values["metadata"]
        _change_metadata(memory, metadata if moves_document else keep_document_path(memory.metadata_, metadata))
    if "expires_on" in values:
        memory.expires_on = values["expires_on"]
    if "standing" in values:
        memory.standing = values["standing"]
    memory.hash = stored_digest(tx, owner.project_id, content_hash(memory.content, memory.origin))
    memory.updated_at = values.get("updated_at") or func.clock_timestamp()
    memory.state = "pending"
    await repository.flush()
    await repository.record_update(memory, old_content)
    await tx.refresh(memory)
    return memory


async def _check_changeable(tx: AsyncSession, memory: Memory) -> None:
    if memory.immutable:
        raise BadRequest("This memory was stored as immutable: it can be deleted, but not changed", code="immutable")
    if document_path(memory.metadata_) is None or memory.profile_id is None:
        return
    store = await ProfileRepository(tx, memory.project_id).find(memory.profile_id)
    if store is not None and store.archived_at is not None:
        raise BadRequest(STORE_ARCHIVED, code="store_archived")


def keep_document_path(current: Mapping[str, Any], metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """New metadata with the path that the memory has now: in its memory store, no other memory has it."""
    path = document_path(current)
    if metadata.get(DOCUMENT_PATH, path) != path:
        raise BadRequest(
            f"`metadata` cannot set `{DOCUMENT_PATH}`, the path of a memory in its memory store. Leave it out, or"
            " change the path through /v1/memory_stores."
        )
    return metadata if path is None else {**metadata, DOCUMENT_PATH: path}


def _change_metadata(memory: Memory, metadata: Mapping[str, Any]) -> None:
    """The importance is a column, too. Metadata without one leaves it as it is."""
    check_importance(metadata)
    memory.metadata_ = dict(metadata)
    memory.importance = memory.importance if metadata.get("importance") is None else importance_in(metadata)
