"""Run the job of an event: PENDING, RUNNING, then SUCCEEDED or FAILED with a reason, never an empty success.

The job writes what it made and the event's state in one transaction, so a job that runs again after a crash finds its
event finished and does nothing.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.errors import AppError, ExtractionFailed
from app.core.jobs import RetryWithBackoff
from app.memory.ledger.events import EventRequest
from app.memory.namespace import Namespace

log = structlog.get_logger()
MAX_ATTEMPTS = 6
UNREACHABLE = f"The database, the vector index or the embedder was unreachable after {MAX_ATTEMPTS} attempts."
RETRYABLE = (ExtractionFailed, AppError, OSError, SQLAlchemyError)
RETRY = RetryWithBackoff(*RETRYABLE)
START_EVENT_SQL = text("""
update events set status = 'RUNNING', started_at = coalesce(started_at, now()), updated_at = now()
where project_id = :project_id and id = :id and status in ('PENDING', 'RUNNING')
returning user_id, messages, request, (select p.settings from projects p where p.id = :project_id) as settings
""")
LOCK_RUNNING_EVENT_SQL = text("""
select id from events where project_id = :project_id and id = :id and status = 'RUNNING' for update
""")
FINISH_EVENT_SQL = text("""
update events set status = :status, results = cast(:results as jsonb), note = :note, error = :error,
  request = request || jsonb_strip_nulls(jsonb_build_object('outcome', cast(:outcome as text))),
  messages = case when :status = 'FAILED' then messages end, completed_at = now(), updated_at = now()
where project_id = :project_id and id = :id and status = 'RUNNING'
""")
Retryable = ExtractionFailed | AppError | OSError | SQLAlchemyError


@dataclass(frozen=True, slots=True)
class RunningEvent:
    id: UUID
    namespace: Namespace
    messages: Sequence[dict[str, str]]
    request: EventRequest
    settings: dict[str, Any]
    """The project's."""

    @property
    def key(self) -> dict[str, UUID]:
        return {"project_id": self.namespace.project_id, "id": self.id}


async def run_event(
    database: Database,
    project_id: UUID,
    event_id: UUID,
    *,
    work: Callable[[RunningEvent], Awaitable[None]],
    final_reason: Callable[[Retryable], str | None],
    unexpected: str,
) -> None:
    """One attempt. An error for which `final_reason` returns None is raised, so that the job is tried again; any other
    ends the event, an exception that is not `Retryable` with the sentence `unexpected`."""
    event = await begin_event(database, project_id, event_id)
    if event is None:
        return
    reason: str | None = unexpected
    try:
        await work(event)
        reason = None
    except RETRYABLE as error:
        reason = final_reason(error)
        if reason is None:
            raise
    except asyncio.CancelledError:
        reason = None
        raise
    finally:
        if reason is not None:
            await fail_event(database, event, reason)


async def begin_event(database: Database, project_id: UUID, event_id: UUID) -> RunningEvent | None:
    """None when the event is finished already, or was deleted with its session before its turn came."""
    async with database.transaction(project_id) as tx:
        row = (await tx.execute(START_EVENT_SQL, {"project_id": project_id, "id": event_id})).first()
    if row is None:
        return None
    request = EventRequest.model_validate(row.request)
    namespace = Namespace(project_id, row.user_id, request.profile_id)
    return RunningEvent(event_id, namespace, row.messages or [], request, row.settings)


async def is_still_running(tx: AsyncSession, event: RunningEvent) -> bool:
    """Locks the event, so that it cannot be deleted before `tx` ends."""
    return (await tx.execute(LOCK_RUNNING_EVENT_SQL, event.key)).first() is not None


async def finish_event(
    tx: AsyncSession,
    event: RunningEvent,
    *,
    results: Sequence[dict[str, object]] = (),
    note: str | None = None,
    outcome: str | None = None,
) -> None:
    await _close(tx, event, "SUCCEEDED", results=results, note=note, outcome=outcome)


async def fail_event(database: Database, event: RunningEvent, reason: str) -> None:
    """Keeps the messages, since nothing was made of them."""
    log.warning("memory.event_failed", event_id=str(event.id))
    async with database.transaction(event.namespace.project_id, event.namespace.user_id) as tx:
        await _close(tx, event, "FAILED", error=reason)


async def _close(
    tx: AsyncSession,
    event: RunningEvent,
    status: str,
    *,
    results: Sequence[dict[str, object]] = (),
    note: str | None = None,
    outcome: str | None = None,
    error: str | None = None,
) -> None:
    values = {"status": status, "results": json.dumps(results), "note": note, "outcome": outcome, "error": error}
    await tx.execute(FINISH_EVENT_SQL, {**event.key, **values})
