"""A memory in its three shapes: the row, the part of it that a search reads, and what a writer provides.

This file is the list of a memory's fields. Statements, copies and exports are generated from it, so a new field needs
a migration, this file and, if clients see it, `app/gateways/mem0/memories/render.py`
(tests/memory/ledger/test_fields.py checks it).
"""

import dataclasses
import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import REAL, ColumnElement, DateTime, SmallInteger, Text, Uuid, func, or_
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import POSTGRES, ProjectModel
from app.core.ports import Role
from app.memory.origin import Origin

Json = JSONB(none_as_null=True)


class Kind(StrEnum):
    FACT = "fact"
    EPISODE = "episode"
    MESSAGE = "message"
    """A message of the conversation store, which no memory API returns."""
    SUMMARY = "summary"
    """Stands for long-unused episodes, which it has replaced."""


class Source(StrEnum):
    """Who said a memory."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    IMPORT = "import"


class Door(StrEnum):
    """The API that a memory came through."""

    MEM0 = "mem0"
    CHAT = "chat"
    MESSAGES = "messages"
    IMPORT = "import"
    MCP = "mcp"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GRAPHQL = "graphql"


DOCUMENT_PATH = "memory_store_path"
"""In the metadata of a memory that is a document of a memory store."""


class Memory(ProjectModel):
    """One memory in the ledger, from which its index entry is derived."""

    __tablename__ = "memories"
    content_columns = ("content", "context")

    user_id: Mapped[str | None] = mapped_column(Text)
    profile_id: Mapped[uuid.UUID | None]
    namespace: Mapped[str] = mapped_column(Text)
    agent_id: Mapped[str | None] = mapped_column(Text)
    app_id: Mapped[str | None] = mapped_column(Text)
    run_id: Mapped[str | None] = mapped_column(Text)
    tenant_id: Mapped[str | None] = mapped_column(Text)
    conversation_id: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text, default="user")
    content: Mapped[str] = mapped_column(Text)
    context: Mapped[str | None] = mapped_column(Text)
    # SQLAlchemy reserves the attribute `metadata`.
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", Json, default=dict)
    categories: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    importance: Mapped[float | None] = mapped_column(REAL)
    hash: Mapped[bytes]
    state: Mapped[str] = mapped_column(Text, default="pending")
    standing: Mapped[bool] = mapped_column(default=False)
    source: Mapped[str | None] = mapped_column(Text)
    """None in rows that are older than this column; so is `door`."""
    door: Mapped[str | None] = mapped_column(Text)
    immutable: Mapped[bool] = mapped_column(default=False)
    expires_on: Mapped[dt.date | None]
    archived_at: Mapped[dt.datetime | None]
    replaced_by: Mapped[uuid.UUID | None]
    valid_from: Mapped[dt.datetime | None]
    valid_until: Mapped[dt.datetime | None]
    """Set together with `replaced_by`."""
    coexists_with: Mapped[list[uuid.UUID] | None] = mapped_column(ARRAY(Uuid))
    """The memories whose replacement of this one was undone."""
    access_count: Mapped[int] = mapped_column(default=0)
    accessed_at: Mapped[list[dt.datetime]] = mapped_column(ARRAY(DateTime(timezone=True)), default=list)
    source_message_id: Mapped[uuid.UUID | None]
    event_id: Mapped[uuid.UUID | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    # No onupdate: counting an access does not change the memory.
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    categorized_at: Mapped[dt.datetime | None] = mapped_column(deferred=True)
    categorize_after: Mapped[dt.datetime | None] = mapped_column(deferred=True)
    categorize_tries: Mapped[int] = mapped_column(SmallInteger, default=0, deferred=True)

    @property
    def origin(self) -> Origin:
        return Origin(user_id=self.user_id, agent_id=self.agent_id, app_id=self.app_id, run_id=self.run_id)


class SearchRow(NamedTuple):
    """What a search reads of a memory: enough to rank it and to show it."""

    id: UUID
    project_id: UUID
    user_id: str | None
    profile_id: UUID | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    kind: str
    role: str
    content: str
    context: str | None
    metadata_json: str
    categories: list[str] | None
    importance: float | None
    standing: bool
    source: str | None
    door: str | None
    immutable: bool
    expires_on: dt.date | None
    archived_at: dt.datetime | None
    replaced_by: UUID | None
    valid_from: dt.datetime | None
    valid_until: dt.datetime | None
    accessed_at: list[dt.datetime]
    created_at: dt.datetime
    updated_at: dt.datetime

    @property
    def metadata_(self) -> dict[str, Any]:
        """Parsed on access, since most of the rows that a search reads are not returned."""
        metadata: dict[str, Any] = json.loads(self.metadata_json)
        return metadata


@dataclass(frozen=True, slots=True)
class NewMemory:
    """A memory before it is a row. The namespace that it is written to decides its user."""

    content: str
    kind: Kind = Kind.FACT
    role: Role = Role.USER
    context: str | None = None
    """The turn before, for an episode: indexed with it, never shown as part of it."""
    origin: Origin = field(default_factory=Origin)
    tenant_id: str | None = None
    conversation_id: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    categories: Sequence[str] | None = None
    importance: float | None = None
    standing: bool | None = None
    """None lets the rules for standing memories decide."""
    source: Source | None = None
    """None takes it from the role."""
    door: Door | None = None
    immutable: bool = False
    expires_on: dt.date | None = None
    archived_at: dt.datetime | None = None
    replaced_by: UUID | None = None
    valid_from: dt.datetime | None = None
    valid_until: dt.datetime | None = None
    coexists_with: Sequence[UUID] | None = None
    access_count: int = 0
    accessed_at: Sequence[dt.datetime] = ()
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    source_message_id: UUID | None = None
    input: Sequence[Mapping[str, str]] = ()
    """The messages that it was made from, kept in its history."""
    id: UUID = field(default_factory=uuid.uuid4)

    @classmethod
    def copied_from(cls, memory: Memory) -> Self:
        """The same memory under a new id, current and never accessed."""
        values = {name: getattr(memory, ATTRIBUTES[name]) for name in WRITTEN_FIELDS if name not in NOT_COPIED}
        return cls(**{**values, "kind": Kind(memory.kind), "role": Role(memory.role), "origin": memory.origin})


FIELDS: dict[str, str] = {column.name: column.type.compile(dialect=POSTGRES) for column in Memory.__table__.columns}
"""Every column of `memories`, with its type in SQL."""
ATTRIBUTES = {column.name: name for name, column in Memory.__mapper__.columns.items()}
"""The attribute of `Memory` for each column."""
WRITTEN_FIELDS = tuple(each.name for each in dataclasses.fields(NewMemory) if each.name in FIELDS)
OWN_STATE = ("archived_at", "replaced_by", "valid_from", "valid_until", "coexists_with", "access_count", "accessed_at")
NOT_COPIED = {"id", *OWN_STATE}


def content_hash(content: str, origin: Origin) -> bytes:
    """The same words from the same agent, app and run are the same memory."""
    scope = "\x1f".join(part or "" for part in (origin.agent_id, origin.app_id, origin.run_id))
    return hashlib.sha256(f"{scope}\x1e{' '.join(content.split())}".encode()).digest()


def document_path(metadata: Mapping[str, object]) -> str | None:
    path = metadata.get(DOCUMENT_PATH)
    return path if isinstance(path, str) else None


def source_of(role: str) -> Source:
    return Source.ASSISTANT if role == Role.ASSISTANT else Source.USER


def is_memory() -> ColumnElement[bool]:
    return Memory.kind != Kind.MESSAGE


def visible(
    *,
    show_expired: bool = False,
    show_archived: bool = False,
    show_superseded: bool = False,
    as_of: ColumnElement[dt.datetime] | None = None,
) -> list[ColumnElement[bool]]:
    """The conditions of a current memory: not superseded, not archived, and through the day it expires on, in UTC.

    `as_of` is a moment of the past: what was created later is not visible, and what was superseded later is."""
    conditions: list[ColumnElement[bool]] = [is_memory()]
    if as_of is not None:
        conditions += [Memory.created_at <= as_of, or_(Memory.valid_from.is_(None), Memory.valid_from <= as_of)]
    if not show_superseded:
        conditions.append(
            Memory.replaced_by.is_(None)
            if as_of is None
            else or_(Memory.valid_until.is_(None), Memory.valid_until > as_of)
        )
    if not show_archived:
        conditions.append(Memory.archived_at.is_(None))
    if not show_expired:
        today = func.date(func.timezone("UTC", func.now() if as_of is None else as_of))
        conditions.append(or_(Memory.expires_on.is_(None), Memory.expires_on >= today))
    return conditions
