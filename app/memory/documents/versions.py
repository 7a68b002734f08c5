"""The versions of documents: rows of the history. Deleting a document takes the content out of all of them."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import TextStatement
from app.core.errors import BadRequest, NotFound
from app.memory.documents.read import digest_of, scope_values
from app.memory.ledger import DOCUMENT_PATH, document_path
from app.memory.namespace import Namespace

# A deleted memory has no namespace any more. Its versions belong to the store if the user has no other one, or if they
# are named.
_VERSIONS = f"""
select h.id, h.memory_id, h.position, h.event, h.new_memory, h.metadata, h.created_at, h.actor,
  case when m.id is null then (select max(d.created_at) from memory_history d where d.project_id = h.project_id
    and d.memory_id = h.memory_id and d.event = 'DELETE') end as deleted_at
from memory_history h left join memories m on m.project_id = h.project_id and m.id = h.memory_id
where h.project_id = :project_id and h.user_id = :user_id and h.event in ('ADD', 'UPDATE', 'DELETE')
  and h.kind is distinct from 'message' and (m.namespace = :namespace and m.metadata ? '{DOCUMENT_PATH}'
    or m.id is null and (h.memory_id = :memory_id or h.id = :id or (select count(*) from profiles p
      where p.project_id = h.project_id and p.user_id = h.user_id) = 1))"""  # noqa: S608  # only our own words
SELECT_VERSIONS_SQL = text(f"""{_VERSIONS}
  and (cast(:id as uuid) is null or h.id = :id) and (cast(:memory_id as uuid) is null or h.memory_id = :memory_id)
  and (cast(:event as text) is null or h.event = :event) and (cast(:actor as text) is null or h.actor = :actor)
  and (cast(:since as timestamptz) is null or h.created_at >= :since)
  and (cast(:until as timestamptz) is null or h.created_at <= :until)
  and (cast(:before as bigint) is null or h.position < :before)
order by h.position desc limit :limit
""")
SELECT_LATEST_POSITION_SQL = text("""
select max(position) from memory_history
where project_id = :project_id and memory_id = :memory_id and event in ('ADD', 'UPDATE')
""")
RECORD_AUTHOR_SQL = text("""
update memory_history set actor = private.actor()
where project_id = :project_id and memory_id = :id and position = (select max(n.position) from memory_history n
  where n.project_id = :project_id and n.memory_id = :id and n.event in ('ADD', 'UPDATE', 'DELETE'))
""")
REDACT_VERSION_SQL = text("""
update memory_history set old_memory = null, new_memory = null, input = null, metadata = cast(:metadata as jsonb)
where project_id = :project_id and id = :id
""")
# The content of a version is the old content of the next one.
CLEAR_OLD_CONTENT_SQL = text("""
update memory_history set old_memory = null
where project_id = :project_id and memory_id = :memory_id and position = (select min(n.position) from memory_history n
  where n.project_id = :project_id and n.memory_id = :memory_id and n.position > :position and n.event = 'UPDATE')
""")


# They have the history. Exports of the whole project stay, as when a memory is deleted.
DELETE_EXPORTS_SQL = text("delete from data_exports where project_id = :project_id and user_id = :user_id")


@dataclass(frozen=True, slots=True)
class VersionQuery:
    limit: int = 1
    id: UUID | None = None
    memory_id: UUID | None = None
    event: str | None = None
    actor: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    before: int | None = None
    """A position in the history."""


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    id: UUID
    memory_id: UUID
    position: int
    event: str
    content: str | None
    metadata: dict[str, Any]
    created_at: dt.datetime
    deleted_at: dt.datetime | None
    """When the memory was deleted, and the content with it."""
    actor: str | None
    """`account:<id>` or `key:<id>`; None for a change that was not made through this room."""

    @property
    def path(self) -> str | None:
        return document_path(self.metadata)

    @property
    def redacted_at(self) -> dt.datetime | None:
        """What clients write into the metadata of a memory redacts nothing."""
        if self.content is not None:
            return None
        at = self.metadata.get("redacted_at")
        return dt.datetime.fromisoformat(at) if at else self.deleted_at

    @property
    def redacted_by(self) -> dict[str, str] | None:
        return self.metadata.get("redacted_by") if self.redacted_at is not None else None

    @property
    def sha256(self) -> str | None:
        return None if self.content is None else digest_of(self.content)


async def list_versions(tx: AsyncSession, namespace: Namespace, query: VersionQuery) -> list[DocumentVersion]:
    """Newest first."""
    values = {name: getattr(query, name) for name in VersionQuery.__slots__}
    rows = await tx.execute(SELECT_VERSIONS_SQL, scope_values(namespace, user_id=namespace.user_id, **values))
    return [
        DocumentVersion(
            id=row.id,
            memory_id=row.memory_id,
            position=row.position,
            event=row.event,
            content=row.new_memory,
            metadata=row.metadata or {},
            created_at=row.created_at,
            deleted_at=row.deleted_at,
            actor=row.actor,
        )
        for row in rows
    ]


def author_statement(namespace: Namespace, document_id: UUID) -> TextStatement:
    """Records the caller as the author of the latest version."""
    return RECORD_AUTHOR_SQL, {"project_id": namespace.project_id, "id": document_id}


async def get_version(tx: AsyncSession, namespace: Namespace, version_id: UUID) -> DocumentVersion:
    found = await list_versions(tx, namespace, VersionQuery(id=version_id))
    if not found:
        raise NotFound("This store has no such version.")
    return found[0]


async def redact_version(
    tx: AsyncSession, namespace: Namespace, version_id: UUID, redacted_by: dict[str, str] | None
) -> DocumentVersion:
    version = await get_version(tx, namespace, version_id)
    if version.redacted_at is not None:
        return version
    values = {"project_id": namespace.project_id, "id": version.id, "memory_id": version.memory_id}
    if await tx.scalar(SELECT_LATEST_POSITION_SQL, values) == version.position:
        raise BadRequest(
            "This is the current version of the memory. Update or delete the memory first.", code="current_version"
        )
    noted = {"redacted_at": dt.datetime.now(dt.UTC).isoformat(), "redacted_by": redacted_by}
    await tx.execute(REDACT_VERSION_SQL, {**values, "metadata": json.dumps(noted)})
    await tx.execute(CLEAR_OLD_CONTENT_SQL, {**values, "position": version.position})
    await tx.execute(DELETE_EXPORTS_SQL, {"project_id": namespace.project_id, "user_id": namespace.user_id})
    return await get_version(tx, namespace, version_id)
