import datetime as dt
import uuid
from typing import Any

from sqlalchemy import BigInteger, FetchedValue, Text, Uuid, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel
from app.memory.ledger.memory import Json


class MemoryHistory(ProjectModel):
    """One change of one memory; append-only."""

    __tablename__ = "memory_history"

    position: Mapped[int] = mapped_column(BigInteger, server_default=FetchedValue())
    memory_id: Mapped[uuid.UUID]
    user_id: Mapped[str | None]
    agent_id: Mapped[str | None]
    app_id: Mapped[str | None]
    run_id: Mapped[str | None]
    kind: Mapped[str | None]
    """None in rows that are older than this column, which are of memories."""
    event: Mapped[str]
    old_memory: Mapped[str | None] = mapped_column(Text)
    new_memory: Mapped[str | None] = mapped_column(Text)
    input: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", Json)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class MemoryEvent(ProjectModel):
    """One request to the memory engine, and its outcome."""

    __tablename__ = "events"

    user_id: Mapped[str | None]
    namespace: Mapped[str | None]
    event_type: Mapped[str]
    status: Mapped[str]
    messages: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    request: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    """See `EventRequest`."""
    results: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    note: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    postponed: Mapped[int] = mapped_column(default=0)
    unavailable_since: Mapped[dt.datetime | None]
    """When the event began to wait for the language model."""
    interim_ids: Mapped[list[uuid.UUID | None] | None] = mapped_column(ARRAY(Uuid))
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    started_at: Mapped[dt.datetime | None]
    completed_at: Mapped[dt.datetime | None]
