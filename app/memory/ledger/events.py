"""Events: each request to the memory engine and its outcome. Results name memories by id; the words stay in `memories`,
so that deleting a memory is enough."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.content import ContentJson, content_messages
from app.core.database.database import TextStatement
from app.core.database.repository import Repository
from app.core.errors import NotFound
from app.memory.ledger.memory import Door, Kind
from app.memory.ledger.models import MemoryEvent, MemoryHistory
from app.memory.namespace import Namespace
from app.memory.origin import Origin

INSERT_EVENT_SQL = text("""
insert into events (id, project_id, user_id, namespace, session_id, event_type, status, messages, request, results,
  started_at, completed_at)
values (:id, :project_id, :user_id, :namespace, :session_id, :event_type, :status, cast(:messages as jsonb),
  cast(:request as jsonb), cast(:results as jsonb),
  case when :done then now() end, case when :done then now() end)
""")


class CallInstructions(BaseModel):
    """The instructions of one call. None falls back to the project's; an empty text means none at all."""

    model_config = ConfigDict(frozen=True)

    own: str | None = None
    agents: str | None = None
    includes: str | None = None
    excludes: str | None = None


class EventRequest(BaseModel):
    """What `events.request` stores of a request: no field is required, and fields at their default are left out."""

    model_config = ConfigDict(frozen=True)

    profile_id: UUID | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    instructions: CallInstructions = CallInstructions()
    categories: list[dict[str, str]] | None = None
    expires_on: dt.date | None = None
    immutable: bool = False
    said_at: dt.datetime | None = None
    source_message_id: UUID | None = None
    deleted: int | None = None
    """Of DELETE_ALL: how many memories."""
    job_id: UUID | None = None
    door: Door = Door.MEM0
    outcome: str | None = None
    """Of PROFILE."""

    @field_validator("instructions", mode="before")
    @classmethod
    def _read_text(cls, value: object) -> object:
        """Events of the first release store the instructions as a text."""
        return {"own": value} if isinstance(value, str) else value or {}

    @field_validator("metadata", mode="before")
    @classmethod
    def _read_missing(cls, value: object) -> object:
        return value or {}

    def as_json(self) -> str:
        return self.model_dump_json(exclude_defaults=True)

    def origin(self, user_id: str | None) -> Origin:
        return Origin(user_id=user_id, agent_id=self.agent_id, app_id=self.app_id, run_id=self.run_id)


async def record_event(
    tx: AsyncSession,
    namespace: Namespace,
    event_id: UUID,
    event_type: str,
    *,
    done: bool,
    request: EventRequest | None = None,
    results: Sequence[Mapping[str, object]] = (),
) -> None:
    await tx.execute(*event_statement(namespace, event_id, event_type, done=done, request=request, results=results))


def event_statement(
    namespace: Namespace,
    event_id: UUID,
    event_type: str,
    *,
    done: bool,
    messages: Sequence[Mapping[str, object]] | None = None,
    request: EventRequest | None = None,
    results: Sequence[Mapping[str, object]] = (),
    session_id: UUID | None = None,
) -> TextStatement:
    return INSERT_EVENT_SQL, {
        "id": event_id,
        "project_id": namespace.project_id,
        "user_id": namespace.user_id,
        "namespace": str(namespace),
        "session_id": session_id,
        "event_type": event_type,
        "status": "SUCCEEDED" if done else "PENDING",
        "messages": ContentJson(content_messages(messages, namespace.project_id, event_id))
        if messages is not None
        else None,
        "request": (request or EventRequest()).as_json(),
        "results": json.dumps(results),
        "done": done,
    }


class EventRepository(Repository[MemoryEvent]):
    model = MemoryEvent
    noun = "event"

    async def numbered_page(
        self, where: Sequence[ColumnElement[bool]], page: int, size: int
    ) -> tuple[int, list[MemoryEvent]]:
        """Newest first, with the count of all pages."""
        query = self.rows.where(*where).order_by(MemoryEvent.created_at.desc(), MemoryEvent.id.desc())
        rows = list(await self.tx.scalars(query.limit(size).offset((page - 1) * size)))
        count = select(func.count()).select_from(MemoryEvent).where(*self.mine(), *where)
        return await self.tx.scalar(count) or 0, rows

    async def get(self, row_id: UUID) -> MemoryEvent:
        row = await self.find(row_id)
        if row is None:
            raise NotFound("Event not found. The requested event does not exist or belongs to another project.")
        return row


class HistoryRepository(Repository[MemoryHistory]):
    """The history of memories. Messages have rows of their own kind there, also after they were deleted."""

    model = MemoryHistory
    noun = "history"

    def mine(self) -> list[ColumnElement[bool]]:
        return [*super().mine(), MemoryHistory.kind.is_distinct_from(Kind.MESSAGE)]

    async def of_memory(self, memory_id: UUID) -> list[MemoryHistory]:
        query = self.rows.where(MemoryHistory.memory_id == memory_id).order_by(MemoryHistory.position)
        return list(await self.tx.scalars(query))

    async def inputs_of(self, memory_ids: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]] | None]:
        """The messages that each of the memories was made from. None where one of them was deleted since."""
        added = [*self.mine(), MemoryHistory.event == "ADD", MemoryHistory.memory_id.in_(memory_ids)]
        rows = await self.tx.execute(select(MemoryHistory.memory_id, MemoryHistory.input).where(*added))
        return {row.memory_id: row.input for row in rows}

    async def repeats_of(self, memory_ids: Sequence[UUID]) -> list[MemoryHistory]:
        """Each further time that one of the memories was said."""
        of_memory = MemoryHistory.memory_id.in_(memory_ids)
        query = self.rows.where(of_memory, MemoryHistory.event == "REPEAT").order_by(MemoryHistory.position)
        return list(await self.tx.scalars(query))

    async def numbered_page(self, page: int, size: int) -> tuple[int, list[MemoryHistory]]:
        query = self.rows.order_by(MemoryHistory.position.desc()).limit(size).offset((page - 1) * size)
        count = await self.tx.scalar(select(func.count()).select_from(MemoryHistory).where(*self.mine()))
        return count or 0, list(await self.tx.scalars(query))
