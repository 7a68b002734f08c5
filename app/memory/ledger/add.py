"""Add memories in one statement: new rows with their history, and for each duplicate the memory that exists."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Row, RowMapping, TextClause, text

from app.core.database.actor import acting_key
from app.core.database.content import Content, ContentDigest, ContentJson, content_messages
from app.core.database.database import Statement, TextStatement
from app.core.errors import BadRequest
from app.core.observability.usage_counts import UsageOf
from app.core.resources import Resources
from app.core.storable_text import is_blank
from app.core.text.standing_statements import is_standing
from app.memory.ledger.events import EventRequest
from app.memory.ledger.memory import FIELDS, WRITTEN_FIELDS, Kind, NewMemory, Source, content_hash, source_of
from app.memory.ledger.repeats import RECORD_REPEATS, REPEATED_FIELDS
from app.memory.namespace import Namespace
from app.memory.origin import ENTITY_FIELDS

PROVIDED_FIELDS = ("namespace", "profile_id", "event_id", *ENTITY_FIELDS, *WRITTEN_FIELDS)
_RECORD = ", ".join(f"{name} {FIELDS[name]}" for name in PROVIDED_FIELDS)
_COLUMNS = ", ".join(name for name in PROVIDED_FIELDS if name not in ("created_at", "updated_at"))
_ORIGIN = ", ".join(ENTITY_FIELDS)


def _add(condition: str = "true", actor: str = "null") -> str:
    """Adds those of the given rows that meet a condition about `record`. `actor` is the author of their versions.

    Each row looks for its duplicate with an index lookup of its own: as a join, Postgres read a table that was not
    analyzed yet from end to end for every row."""
    return f"""
with given as (
  select record.*, decode(record.digest, 'hex') as hash
  from jsonb_to_recordset(cast(:rows as jsonb)) as record
    ({_RECORD}, digest text, input jsonb, deduplicate boolean, place integer, twin_of uuid)
  where {condition}
), existing as (
  select given.place, found.memory_id as id, found.* from given cross join lateral (
    select m.content, {REPEATED_FIELDS} from memories m
    where given.deduplicate and m.namespace = given.namespace and m.hash = given.hash and m.project_id = :project_id
      and (m.expires_on is null or m.expires_on >= current_date) and m.archived_at is null
      and m.replaced_by is null
    limit 1) found
), repeated as (
  select existing.*, given.created_at, given.source, given.door, given.source_message_id,
    {", ".join(f"given.{name}" for name in ENTITY_FIELDS)}
  from existing join given on given.place = existing.place where given.twin_of is null
), {RECORD_REPEATS}, added as (
  insert into memories ({_COLUMNS}, project_id, hash, created_at, updated_at)
  select {_COLUMNS}, :project_id, hash, coalesce(created_at, now()), coalesce(updated_at, created_at, now())
  from given where twin_of is null and not exists (select from existing where existing.place = given.place)
  returning id, updated_at
), history as (
  insert into memory_history (project_id, memory_id, {_ORIGIN}, kind, event, new_memory, input, metadata, created_at,
    actor)
  select :project_id, id, {_ORIGIN}, kind, 'ADD', content, input, metadata, coalesce(created_at, now()), {actor}
  from given where id in (select id from added) order by place
  returning id, memory_id
), outcome as (
  select given.place, coalesce(existing.id, given.twin_of, given.id) as id, added.id is not null as added,
    coalesce(existing.content, given.content) as content, added.updated_at
  from given left join existing on existing.place = given.place left join added on added.id = given.id
)"""  # noqa: S608  # only our own column names are put together


def add_if(condition: str) -> TextClause:
    """For `add_each_statement`. Returns the memories that met the condition, with their versions in the history, whose
    author is the caller."""
    return text(f"""{_add(condition, "private.actor()")} select outcome.*, history.id as version_id
from outcome join history on history.memory_id = outcome.id order by place""")  # noqa: S608


ADD_MEMORIES_SQL = text(f"{_add()} select * from outcome order by place")  # noqa: S608
ADD_MEMORIES_WITH_EVENT_SQL = text(f"""{_add()}, event as (
  insert into events (id, project_id, user_id, namespace, event_type, status, request, results, started_at,
    completed_at)
  select :event_id, :project_id, :user_id, :namespace, 'ADD', 'SUCCEEDED', cast(:request as jsonb), coalesce(jsonb_agg(
    jsonb_build_object('id', id, 'event', case when added then 'ADD' else 'NONE' end) order by place), '[]'),
    now(), now()
  from outcome
) select * from outcome order by place""")  # noqa: S608
# Of two requests that add the same memory at once, the second waits and then finds what the first wrote.
LOCK_DUPLICATES_SQL = text("select pg_advisory_xact_lock(key) from unnest(cast(:keys as bigint[])) as key")
LOCKS_PER_NAMESPACE = 16
_entity_values = attrgetter(*ENTITY_FIELDS)
_written_values = attrgetter(*WRITTEN_FIELDS)


class Outcome(StrEnum):
    ADDED = "ADD"
    DUPLICATE = "DUPLICATE"


@dataclass(frozen=True, slots=True)
class Remembered:
    """For a duplicate, `id` and `content` are those of the memory that exists already."""

    id: UUID
    outcome: Outcome
    content: str


@dataclass(frozen=True, slots=True)
class RememberResult:
    event_id: UUID
    results: Sequence[Remembered]


def add_statements(
    namespace: Namespace,
    new: Sequence[NewMemory],
    event_id: UUID,
    *,
    deduplicate: bool,
    request: EventRequest | None = None,
) -> list[Statement]:
    """Add the memories and record the event; the last statement returns one outcome for each memory, in order."""
    rows = build_rows(namespace, new, event_id, deduplicate=deduplicate)
    values = {
        "rows": rows_as_json(rows),
        "request": (request or EventRequest()).as_json(),
        "event_id": event_id,
        "project_id": namespace.project_id,
        "user_id": namespace.user_id,
        "namespace": str(namespace),
    }
    return [*lock_statements(namespace, rows, deduplicate=deduplicate), (ADD_MEMORIES_WITH_EVENT_SQL, values)]


def add_each_statement(
    project_id: UUID, new: Sequence[tuple[Namespace, NewMemory]], sql: TextClause = ADD_MEMORIES_SQL
) -> Statement:
    """Add memories of several namespaces without looking for duplicates, and without an event.

    `sql` is one of `add_if`."""
    rows = [
        {**build_rows(namespace, [memory], None, deduplicate=False)[0], "place": place}
        for place, (namespace, memory) in enumerate(new)
    ]
    return sql, {"rows": rows_as_json(rows), "project_id": project_id}


def lock_statements(
    namespace: Namespace, rows: Sequence[Mapping[str, object]], *, deduplicate: bool
) -> list[TextStatement]:
    return [(LOCK_DUPLICATES_SQL, {"keys": dedup_lock_keys(namespace, rows)})] if deduplicate else []


def build_rows(
    namespace: Namespace, new: Sequence[NewMemory], event_id: UUID | None, *, deduplicate: bool
) -> list[dict[str, object]]:
    """In order; a row that repeats an earlier one names it as its twin."""
    if any(is_blank(memory.content) for memory in new):
        raise BadRequest("A memory needs text, and one of these is blank. Leave it out.", code="blank")
    shared = {
        "namespace": str(namespace),
        "user_id": namespace.user_id,
        "profile_id": namespace.profile_id,
        "event_id": event_id,
        "deduplicate": deduplicate,
    }
    rows = [{**_own_values(namespace.project_id, memory), **shared} for memory in new]
    first_places: dict[object, int] = {}
    for place, (row, memory) in enumerate(zip(rows, new, strict=True)):
        first = first_places.setdefault(row["digest"], place) if deduplicate else place
        row |= {"place": place, "twin_of": rows[first]["id"] if first < place else None}
        # The outcome of a twin has the id of the first one.
        row["content"] = Content(memory.content, namespace.project_id, new[first].id)
    return rows


def _own_values(project_id: UUID, memory: NewMemory) -> dict[str, object]:
    source = memory.source or source_of(memory.role)
    return {
        **dict(zip(ENTITY_FIELDS, _entity_values(memory.origin), strict=True)),
        **dict(zip(WRITTEN_FIELDS, _written_values(memory), strict=True)),
        "source": source,
        "standing": _is_standing(memory, source),
        "context": Content(memory.context, project_id, memory.id) if memory.context is not None else None,
        "digest": ContentDigest(content_hash(memory.content, memory.origin).hex(), project_id),
        "input": content_messages(memory.input, project_id, memory.id) or None,
    }


def _is_standing(memory: NewMemory, source: Source) -> bool:
    """Only what a user said is marked without being asked: other text must not become part of every prompt."""
    if memory.standing is not None:
        return memory.standing
    return source is Source.USER and memory.kind is not Kind.MESSAGE and is_standing(memory.content)


def rows_as_json(rows: Sequence[Mapping[str, object]]) -> str:
    return ContentJson(rows, default=lambda value: dict(value) if isinstance(value, Mapping) else str(value))


def dedup_lock_keys(namespace: Namespace, rows: Sequence[Mapping[str, object]]) -> list[int]:
    """A few locks for each namespace, taken in ascending order, so that large additions need no more of them."""
    first = int.from_bytes(hashlib.sha256(str(namespace).encode()).digest()[:7]) * LOCKS_PER_NAMESPACE
    return sorted({first + int(str(row["digest"])[:2], 16) % LOCKS_PER_NAMESPACE for row in rows})


def read_outcome(row: Row[Any] | RowMapping) -> tuple[Remembered, dt.datetime | None]:
    """With the version of a new row that is to be indexed; a duplicate has none."""
    outcome = Outcome.ADDED if row.added else Outcome.DUPLICATE
    return Remembered(id=row.id, outcome=outcome, content=row.content), row.updated_at


def count_added(resources: Resources, project_id: UUID, added: int) -> None:
    """For the usage of the key that sent the request."""
    resources.usage.memories[UsageOf(project_id, acting_key())] += added


def event_result(remembered: Remembered) -> dict[str, object]:
    return {"id": str(remembered.id), "event": "ADD" if remembered.outcome is Outcome.ADDED else "NONE"}
