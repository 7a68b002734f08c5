from uuid import UUID

from app.gateways.anthropic.ids import MEMORY, STORE, VERSION, write_id
from app.gateways.anthropic.schemas import MemoryStoreRead, MemoryVersionRead, Operation, StoreMemoryRead
from app.memory.documents import Document, DocumentVersion
from app.profiles.models import Profile

OPERATIONS: dict[str, Operation] = {"ADD": "created", "UPDATE": "modified", "DELETE": "deleted"}
EVENTS = {operation: event for event, operation in OPERATIONS.items()}


def render_store(profile: Profile) -> MemoryStoreRead:
    return MemoryStoreRead(
        id=write_id(STORE, profile.id),
        name=profile.name,
        description=profile.description or "",
        metadata=profile.metadata_,
        archived_at=profile.archived_at,
        created_at=profile.created_at,
        updated_at=profile.updated_at,
    )


def render_document(store_id: UUID, document: Document, *, full: bool) -> StoreMemoryRead:
    return StoreMemoryRead(
        id=write_id(MEMORY, document.id),
        memory_store_id=write_id(STORE, store_id),
        memory_version_id=write_id(VERSION, document.version_id or document.id),
        path=document.path,
        content=document.content if full else None,
        content_sha256=document.sha256,
        content_size_bytes=len(document.content.encode()),
        created_at=document.created_at,
        updated_at=document.updated_at,
    )


def render_version(store_id: UUID, version: DocumentVersion, *, full: bool) -> MemoryVersionRead:
    return MemoryVersionRead(
        id=write_id(VERSION, version.id),
        memory_id=write_id(MEMORY, version.memory_id),
        memory_store_id=write_id(STORE, store_id),
        operation=OPERATIONS[version.event],
        path=version.path,
        content=version.content if full else None,
        content_sha256=version.sha256,
        content_size_bytes=None if version.content is None else len(version.content.encode()),
        created_at=version.created_at,
        created_by=render_actor(version.actor),
        redacted_at=version.redacted_at,
        redacted_by=version.redacted_by,
    )


def render_actor(actor: str | None) -> dict[str, str] | None:
    """Of the words that the audit log uses, too: `key:<id>` or `account:<id>`."""
    kind, _, actor_id = (actor or "").partition(":")
    if kind == "key":
        return {"type": "api_actor", "api_key_id": actor_id}
    return {"type": "user_actor", "user_id": actor_id} if kind == "account" else None
