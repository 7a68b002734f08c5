import datetime as dt
import uuid
from typing import Any

from sqlalchemy import REAL, BigInteger, ColumnElement, DateTime, FetchedValue, Text, func, or_
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel

Json = JSONB(none_as_null=True)


class Memory(ProjectModel):
    """One thing remembered: the truth, from which vectors are derived."""

    __tablename__ = "memories"

    user_id: Mapped[str | None]
    profile_id: Mapped[uuid.UUID | None]
    namespace: Mapped[str]
    agent_id: Mapped[str | None]
    app_id: Mapped[str | None]
    run_id: Mapped[str | None]
    kind: Mapped[str]
    role: Mapped[str] = mapped_column(default="user")
    content: Mapped[str] = mapped_column(Text)
    context: Mapped[str | None] = mapped_column(Text)
    # Not `metadata`, which SQLAlchemy keeps for itself.
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", Json, default=dict)
    categories: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    importance: Mapped[float | None] = mapped_column(REAL)
    hash: Mapped[bytes]
    state: Mapped[str] = mapped_column(default="pending")
    immutable: Mapped[bool] = mapped_column(default=False)
    expires_on: Mapped[dt.date | None]
    archived_at: Mapped[dt.datetime | None]
    replaced_by: Mapped[uuid.UUID | None]
    access_count: Mapped[int] = mapped_column(default=0)
    accessed_at: Mapped[list[dt.datetime]] = mapped_column(ARRAY(DateTime(timezone=True)), default=list)
    source_message_id: Mapped[uuid.UUID | None]
    event_id: Mapped[uuid.UUID | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    # No onupdate: counting an access is not a change of the memory.
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class MemoryHistory(ProjectModel):
    """One change of one memory; append-only."""

    __tablename__ = "memory_history"

    position: Mapped[int] = mapped_column(BigInteger, server_default=FetchedValue())
    memory_id: Mapped[uuid.UUID]
    user_id: Mapped[str | None]
    agent_id: Mapped[str | None]
    app_id: Mapped[str | None]
    run_id: Mapped[str | None]
    event: Mapped[str]
    old_memory: Mapped[str | None] = mapped_column(Text)
    new_memory: Mapped[str | None] = mapped_column(Text)
    input: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", Json)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class MemoryEvent(ProjectModel):
    """What was asked of the memory engine, and how it went."""

    __tablename__ = "events"

    user_id: Mapped[str | None]
    namespace: Mapped[str | None]
    event_type: Mapped[str]
    status: Mapped[str]
    messages: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    request: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    results: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    note: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    started_at: Mapped[dt.datetime | None]
    completed_at: Mapped[dt.datetime | None]


def visible(*, show_expired: bool = False) -> list[ColumnElement[bool]]:
    """A memory can be seen through the day it expires on, in UTC."""
    conditions: list[ColumnElement[bool]] = [Memory.archived_at.is_(None)]
    if not show_expired:
        today = func.date(func.timezone("UTC", func.now()))
        conditions.append(or_(Memory.expires_on.is_(None), Memory.expires_on >= today))
    return conditions
