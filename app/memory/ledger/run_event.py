"""Run the job of an event: PENDING, RUNNING, then SUCCEEDED or FAILED with a reason, never an empty success.

The job writes what it made and the event's state in one transaction, so a job that runs again after a crash finds its
event finished and does nothing.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database, TextStatement
from app.core.errors import AppError, ExtractionFailed, Postponed
from app.core.jobs import RetryWithBackoff
from app.memory.ledger.events import EventRequest
from app.memory.namespace import Namespace

log = structlog.get_logger()
MAX_ATTEMPTS = 6
UNREACHABLE = f"The database, the vector index or the embedder was unreachable after {MAX_ATTEMPTS} attempts."
RETRYABLE = (ExtractionFailed, AppError, OSError, SQLAlchemyError)
MAX_BACKOFF_SECONDS = 60
RETRY = RetryWithBackoff(*RETRYABLE, max_seconds=MAX_BACKOFF_SECONDS)
MAX_OUTAGE_HOURS = 72
TOO_LONG_AWAY = f"The model was away for {MAX_OUTAGE_HOURS} hours. Retry the event when it answers again."
START_EVENT_SQL = text("""
update events set status = 'RUNNING', started_at = coalesce(started_at, now()), updated_at = now()
where project_id = :project_id and id = :id and status in ('PENDING', 'RUNNING')
returning id, user_id, messages, request, postponed, null as interim_ids, array[]::uuid[] as interim_of_namespace,
  (select p.settings from projects p where p.id = :project_id) as settings
""")
# The event and those that wait behind it, as far as they can be read together: a fact gets the same attributes from
# each of them.
START_EVENTS_SQL = text("""
with first as (
  select id, namespace, session_id, request, left(request ->> 'said_at', 10) as said_on, array(
      select interim from events other cross join unnest(other.interim_ids) as interim
      where other.project_id = :project_id and other.namespace = events.namespace
        and other.status in ('PENDING', 'RUNNING') and interim is not null
    ) as interim
  from events
  where project_id = :project_id and id = :id and status in ('PENDING', 'RUNNING')
), waiting as (
  select e.id, e.created_at, e.id <> first.id as later, octet_length(e.messages::text) as size,
    e.session_id is not distinct from first.session_id
      and left(e.request ->> 'said_at', 10) is not distinct from first.said_on
      and e.request - cast(:own as text[]) = first.request - cast(:own as text[]) as alike
  from first join events e on e.namespace = first.namespace and e.project_id = :project_id and e.event_type = 'ADD'
    and e.status in ('PENDING', 'RUNNING')
  order by later, e.created_at, e.id limit :most
), together as (
  select id, row_number() over following as place,
    bool_and(alike) over following and (not later or sum(size) over following <= :bytes) as belongs
  from waiting window following as (order by later, created_at, id)
)
update events e set status = 'RUNNING', started_at = coalesce(e.started_at, now()), updated_at = now()
from together, first where e.project_id = :project_id and e.id = together.id and together.belongs
returning e.id, e.user_id, e.messages, e.request, e.postponed, e.interim_ids, first.interim as interim_of_namespace,
  together.place,
  (select p.settings from projects p where p.id = :project_id) as settings
""")
LOCK_RUNNING_EVENTS_SQL = text("""
select id, interim_ids from events
where project_id = :project_id and id = any(:ids) and status = 'RUNNING' order by id for update
""")
# Returns no row if the event has waited too long, or is gone.
POSTPONE_EVENT_SQL = text("""
update events set postponed = :runs, unavailable_since = coalesce(unavailable_since, now()), updated_at = now()
where project_id = :project_id and id = :id
  and coalesce(unavailable_since, now()) > now() - make_interval(hours => :hours)
returning id
""")
FINISH_EVENTS_SQL = text("""
update events e set status = 'SUCCEEDED', results = done.results, note = :note, messages = null, interim_ids = null,
  completed_at = now(), updated_at = now()
from jsonb_to_recordset(cast(:done as jsonb)) as done (id uuid, results jsonb)
where e.project_id = :project_id and e.id = done.id and e.status = 'RUNNING'
""")
DROP_EXTRACTION_JOBS_SQL = text("select private.drop_extraction_jobs(:namespace, :ids)")
OWN_FIELDS = ["said_at", "source_message_id"]
"""The fields of a request that may differ between events that are read together."""
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
    postponed: int = 0
    """The runs of its job that do not count as attempts."""
    interim_ids: Sequence[UUID | None] | None = None
    """For each message, the memory that holds its words until the facts are extracted."""
    interim_of_namespace: frozenset[UUID] = frozenset()
    """All memories of the namespace that hold words until facts are extracted."""

    @property
    def key(self) -> dict[str, UUID]:
        return {"project_id": self.namespace.project_id, "id": self.id}


async def run_event(
    database: Database,
    project_id: UUID,
    event_id: UUID,
    runs: int,
    *,
    work: Callable[[RunningEvent], Awaitable[None]],
    final_reason: Callable[[int, Retryable], str | None],
    unexpected: str,
) -> None:
    """One run of the event's job, see `run_attempt`."""
    event = await begin_event(database, project_id, event_id)
    if event is not None:
        await run_attempt(database, event, work(event), runs, final_reason=final_reason, unexpected=unexpected)


async def run_attempt(
    database: Database,
    event: RunningEvent,
    work: Awaitable[None],
    runs: int,
    *,
    final_reason: Callable[[int, Retryable], str | None],
    unexpected: str,
) -> None:
    """Of an event whose job has run `runs` times before. An error for which `final_reason` returns None after so many
    attempts is raised, so that the job is tried again; any other ends the event, an exception that is not `Retryable`
    with the sentence `unexpected`. While the model is away, the job waits and uses up no attempt."""
    reason: str | None = unexpected
    try:
        await work
        reason = None
    except RETRYABLE as error:
        if isinstance(error, AppError | ExtractionFailed) and error.is_outage:
            reason = await postpone_event(database, event, runs + 1)
            if reason is None:
                raise Postponed.until_back(error) from error
        else:
            reason = final_reason(runs - event.postponed, error)
            if reason is None:
                raise
    except asyncio.CancelledError:
        reason = None
        raise
    finally:
        if reason is not None:
            await fail_event(database, event, reason)


async def postpone_event(database: Database, event: RunningEvent, runs: int) -> str | None:
    """None of the runs so far counts: the first ones only showed that the model is away. Returns the reason to give up
    if the event has waited too long."""
    async with database.transaction(event.namespace.project_id, event.namespace.user_id) as tx:
        row = (await tx.execute(POSTPONE_EVENT_SQL, {**event.key, "runs": runs, "hours": MAX_OUTAGE_HOURS})).first()
    return None if row else TOO_LONG_AWAY


async def begin_event(database: Database, project_id: UUID, event_id: UUID) -> RunningEvent | None:
    """None when the event is finished already, or was deleted with its session before its turn came."""
    async with database.transaction(project_id) as tx:
        row = (await tx.execute(START_EVENT_SQL, {"project_id": project_id, "id": event_id})).first()
    return _running_event(project_id, event_id, row) if row else None


async def begin_events(
    database: Database, project_id: UUID, event_id: UUID, *, most: int, max_bytes: int
) -> list[RunningEvent]:
    """The event and those of its namespace that follow it and can be read together with it, in order."""
    values = {"project_id": project_id, "id": event_id, "own": OWN_FIELDS, "most": most, "bytes": max_bytes}
    rows = await database.pipeline(project_id, None, (START_EVENTS_SQL, values))
    return [_running_event(project_id, row.id, row) for row in sorted(rows, key=lambda row: row.place)]


def _running_event(project_id: UUID, event_id: UUID, row: Any) -> RunningEvent:
    request = EventRequest.model_validate(row.request)
    namespace = Namespace(project_id, row.user_id, request.profile_id)
    return RunningEvent(
        event_id,
        namespace,
        row.messages or [],
        request,
        row.settings,
        postponed=row.postponed,
        interim_ids=row.interim_ids,
        interim_of_namespace=frozenset(row.interim_of_namespace),
    )


async def lock_running(tx: AsyncSession, events: Sequence[RunningEvent]) -> dict[UUID, list[UUID | None]]:
    """Those that still run, locked, so that they cannot be deleted before `tx` ends, with their interim memories."""
    values = {"project_id": events[0].namespace.project_id, "ids": [event.id for event in events]}
    return {row.id: row.interim_ids or [] for row in await tx.execute(LOCK_RUNNING_EVENTS_SQL, values)}


def finish_statements(
    namespace: Namespace, results: Mapping[UUID, Sequence[Mapping[str, object]]], note: str | None
) -> list[TextStatement]:
    """End the events with their results, and drop the jobs of those that were read with another one."""
    done = json.dumps([{"id": str(event_id), "results": found} for event_id, found in results.items()])
    statements: list[TextStatement] = [
        (FINISH_EVENTS_SQL, {"project_id": namespace.project_id, "done": done, "note": note})
    ]
    if len(results) > 1:
        statements.append((DROP_EXTRACTION_JOBS_SQL, {"namespace": str(namespace), "ids": list(results)}))
    return statements


async def is_still_running(tx: AsyncSession, event: RunningEvent) -> bool:
    """Locks the event, so that it cannot be deleted before `tx` ends."""
    return event.id in await lock_running(tx, [event])


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
