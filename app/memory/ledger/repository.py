"""The ledger in SQL: every statement that writes memories, their history, and what became of them."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Statement, Written
from app.core.database.repository import Repository
from app.core.errors import NotFound
from app.memory.ledger.models import Memory
from app.memory.ledger.new_memory import NewMemory, Outcome, Remembered, content_hash
from app.memory.namespace import Namespace

FIELDS = (
    "id uuid, namespace text, user_id text, profile_id uuid, agent_id text, app_id text, run_id text, kind text,"
    " role text, content text, context text, metadata jsonb, categories text[], importance real, hash text,"
    " immutable boolean, expires_on date, created_at timestamptz, updated_at timestamptz, source_message_id uuid,"
    " event_id uuid, input jsonb, deduplicate boolean, place integer, twin_of uuid"
)
COLUMNS = (
    "id, namespace, user_id, profile_id, agent_id, app_id, run_id, kind, role, content, context, metadata,"
    " categories, importance, immutable, expires_on, source_message_id, event_id"
)
# One statement: new rows with their history, and for each one that was there already, which. Each row looks for its
# twin in the table by itself: as a join, a table not yet analyzed was read from end to end for every row added.
ADDING = f"""
with given as (
  select g.*, decode(g.hash, 'hex') as digest from jsonb_to_recordset(cast(:rows as jsonb)) as g ({FIELDS})
), known as (
  select g.place, m.id, m.content from given g cross join lateral (
    select m.id, m.content from memories m
    where g.deduplicate and m.namespace = g.namespace and m.hash = g.digest and m.project_id = :project_id
      and (m.expires_on is null or m.expires_on >= current_date) and m.archived_at is null
    limit 1) m
), added as (
  insert into memories ({COLUMNS}, project_id, hash, created_at, updated_at)
  select {COLUMNS}, :project_id, digest, coalesce(created_at, now()), coalesce(updated_at, created_at, now())
  from given g where g.twin_of is null and not exists (select from known k where k.place = g.place)
  returning id, updated_at
), noted as (
  insert into memory_history (project_id, memory_id, user_id, agent_id, app_id, run_id, event, new_memory, input,
    metadata, created_at)
  select :project_id, g.id, g.user_id, g.agent_id, g.app_id, g.run_id, 'ADD', g.content, g.input, g.metadata,
    coalesce(g.created_at, now())
  from given g join added a on a.id = g.id
), outcome as (
  select g.place, coalesce(k.id, g.twin_of, g.id) as id, a.id is not null as added,
    coalesce(k.content, g.content) as content, a.updated_at
  from given g left join known k on k.place = g.place left join added a on a.id = g.id
)"""  # noqa: S608  # only our own column names are put together
ADD = text(f"{ADDING} select * from outcome order by place")  # noqa: S608
# The same, with what is told of it, for the commonest case: word for word and in one round trip.
ADD_AND_TELL = text(f"""{ADDING}, told as (
  insert into events (id, project_id, user_id, namespace, event_type, status, request, results, started_at,
    completed_at)
  select :event_id, :project_id, :user_id, :namespace, 'ADD', 'SUCCEEDED', cast(:request as jsonb), coalesce(jsonb_agg(
    jsonb_build_object('id', id, 'event', case when added then 'ADD' else 'NONE' end) order by place), '[]'),
    now(), now()
  from outcome
) select * from outcome order by place""")  # noqa: S608
# Of two that add the same at once, one waits, and then finds what the other wrote.
ONE_AT_A_TIME = text("select pg_advisory_xact_lock(key) from unnest(cast(:keys as bigint[])) as key")
DOORS = 16
RECORD_EVENT = text("""
insert into events (id, project_id, user_id, namespace, session_id, event_type, status, messages, request, results,
  note,  started_at, completed_at)
values (:id, :project_id, :user_id, :namespace, :session_id, :event_type, :status, cast(:messages as jsonb),
  cast(:request as jsonb), cast(:results as jsonb), :note,
  case when :done then now() end, case when :done then now() end)
""")
NOTE_DELETED = text("""
insert into memory_history (project_id, memory_id, user_id, agent_id, app_id, run_id, event)
select project_id, id, user_id, agent_id, app_id, run_id, 'DELETE' from memories
where project_id = :project_id and id = any(:ids)
""")
# The turn after, and a fact that was made of it, carry its words beside their own.
BLANK_AROUND = text("""
update memories m set context = null, state = 'pending', updated_at = clock_timestamp()
from memories f
where f.project_id = :project_id and f.id = any(:ids) and m.project_id = :project_id and m.namespace = f.namespace
  and m.id <> all(:ids) and strpos(E'\\n' || m.context || E'\\n', E'\\n' || f.content || E'\\n') > 0
returning m.id
""")
DELETE = text("delete from memories where project_id = :project_id and id = any(:ids) returning id")
CHANGE_HISTORY = text("""
insert into memory_history (project_id, memory_id, user_id, agent_id, app_id, run_id, event, old_memory, new_memory,
  metadata)
values (:project_id, :memory_id, :user_id, :agent_id, :app_id, :run_id, 'UPDATE', :old_memory, :new_memory,
  cast(:metadata as jsonb))
""")
# In one order first: two that count the same memories at once would wait for each other.
IN_ORDER = text("select id from memories where project_id = :project_id and id = any(:ids) order by id for update")
COUNT_ACCESS = text("""
update memories set access_count = access_count + 1,
  accessed_at = (array_append(accessed_at, now()))[greatest(1, cardinality(accessed_at) - 18):]
where project_id = :project_id and id = any(:ids)
""")


@dataclass(frozen=True, slots=True)
class Deleted:
    ids: list[UUID]
    around: list[UUID]
    """Those that have lost the deleted words beside their own, and are to be indexed anew."""


class MemoryRepository(Repository[Memory]):
    model = Memory
    noun = "memory"

    async def add_all(
        self, namespace: Namespace, new: Sequence[NewMemory], *, deduplicate: bool, event_id: UUID | None = None
    ) -> list[tuple[Remembered, dt.datetime | None]]:
        """In order; with each new row the moment that says which version of it is to be indexed."""
        if not new:
            return []
        rows = as_rows(namespace, new, event_id, deduplicate=deduplicate)
        if deduplicate:
            await self.tx.execute(ONE_AT_A_TIME, {"keys": doors(namespace, rows)})
        found = await self.tx.execute(ADD, {"rows": json.dumps(rows), "project_id": self.project_id})
        return [(remembered(row), row.updated_at) for row in found]

    async def many(self, ids: Sequence[UUID], *where: ColumnElement[bool]) -> list[Memory]:
        return list(await self.tx.scalars(self.rows.where(Memory.id.in_(ids), *where)))

    async def delete_all(self, ids: Sequence[UUID]) -> Deleted:
        """A trigger blanks their words in the history: what stays is that something was deleted, and when."""
        values = {"project_id": self.project_id, "ids": list(ids)}
        await self.tx.execute(NOTE_DELETED, values)
        around = list(await self.tx.scalars(BLANK_AROUND, values))
        return Deleted(list(await self.tx.scalars(DELETE, values)), around)

    async def locked(self, memory_id: UUID) -> Memory:
        row: Memory | None = await self.tx.scalar(self.rows.where(Memory.id == memory_id).with_for_update())
        if row is None:
            raise NotFound(f"There is no memory {memory_id}")
        return row

    async def note_change(self, row: Memory, old: str) -> None:
        values = {
            "project_id": self.project_id,
            "memory_id": row.id,
            "old_memory": old,
            "new_memory": row.content,
            "metadata": json.dumps(row.metadata_),
        }
        people = {"user_id": row.user_id, "agent_id": row.agent_id, "app_id": row.app_id, "run_id": row.run_id}
        await self.tx.execute(CHANGE_HISTORY, {**values, **people})


def adding(
    namespace: Namespace,
    new: Sequence[NewMemory],
    event_id: UUID,
    *,
    deduplicate: bool,
    request: Mapping[str, object] | None = None,
) -> list[Statement]:
    """What adds them and tells of it as an event; the rows of the last are the outcome of each, in order."""
    rows = as_rows(namespace, new, event_id, deduplicate=deduplicate)
    values = {
        "rows": json.dumps(rows),
        "request": json.dumps(request or {}),
        "event_id": event_id,
        "project_id": namespace.project_id,
        "user_id": namespace.user_id,
        "namespace": str(namespace),
    }
    waiting: list[Statement] = [(ONE_AT_A_TIME, {"keys": doors(namespace, rows)})] if deduplicate else []
    return [*waiting, (ADD_AND_TELL, values)]


def counting(project_id: UUID, ids: Sequence[UUID]) -> list[Statement]:
    """What counts that these were of use."""
    values = {"project_id": project_id, "ids": list(ids)}
    return [(IN_ORDER, values), (COUNT_ACCESS, values)] if ids else []


def as_rows(
    namespace: Namespace, new: Sequence[NewMemory], event_id: UUID | None, *, deduplicate: bool
) -> list[dict[str, object]]:
    """In order, and those that say the same as an earlier one know of which they are the twin."""
    rows = [as_row(namespace, memory, event_id, deduplicate=deduplicate) for memory in new]
    first: dict[object, int] = {}
    for place, row in enumerate(rows):
        said = first.setdefault(row["hash"], place) if deduplicate else place
        row |= {"place": place, "twin_of": rows[said]["id"] if said < place else None}
    return rows


def doors(namespace: Namespace, rows: Sequence[Mapping[str, object]]) -> list[int]:
    """A few locks for each namespace, always taken in the same order, however many memories come at once."""
    first = int.from_bytes(hashlib.sha256(str(namespace).encode()).digest()[:7]) * DOORS
    return sorted({first + int(str(row["hash"])[:2], 16) % DOORS for row in rows})


def as_row(namespace: Namespace, memory: NewMemory, event_id: UUID | None, *, deduplicate: bool) -> dict[str, object]:
    return {
        "id": str(memory.id),
        "namespace": str(namespace),
        "user_id": namespace.user_id,
        "profile_id": str(namespace.profile_id) if namespace.profile_id else None,
        "agent_id": memory.agent_id,
        "app_id": memory.app_id,
        "run_id": memory.run_id,
        "kind": memory.kind,
        "role": memory.role,
        "content": memory.content,
        "context": memory.context,
        "metadata": dict(memory.metadata),
        "categories": list(memory.categories) if memory.categories is not None else None,
        "importance": memory.importance,
        "hash": content_hash(memory.content, memory.agent_id, memory.app_id, memory.run_id).hex(),
        "immutable": memory.immutable,
        "expires_on": memory.expires_on.isoformat() if memory.expires_on else None,
        "created_at": memory.created_at.isoformat() if memory.created_at else None,
        "updated_at": memory.updated_at.isoformat() if memory.updated_at else None,
        "source_message_id": str(memory.source_message_id) if memory.source_message_id else None,
        "event_id": str(event_id) if event_id else None,
        "input": [dict(message) for message in memory.input] or None,
        "deduplicate": deduplicate,
    }


def remembered(row: Row[Any] | RowMapping) -> Remembered:
    outcome = Outcome.ADDED if row.added else Outcome.DUPLICATE
    return Remembered(row.id, outcome, row.content)


async def record_event(
    tx: AsyncSession, namespace: Namespace, event_id: UUID, event_type: str, *, done: bool, **told: Any
) -> None:
    await tx.execute(*telling(namespace, event_id, event_type, done=done, **told))


def telling(
    namespace: Namespace,
    event_id: UUID,
    event_type: str,
    *,
    done: bool,
    messages: Sequence[Mapping[str, object]] | None = None,
    request: Mapping[str, object] | None = None,
    results: Sequence[Mapping[str, object]] = (),
    note: str | None = None,
    session_id: UUID | None = None,
) -> Written:
    """`results` name memories by id: their words are looked up when the event is read, so deleting one is enough."""
    return RECORD_EVENT, {
        "id": event_id,
        "project_id": namespace.project_id,
        "user_id": namespace.user_id,
        "namespace": str(namespace),
        "session_id": session_id,
        "event_type": event_type,
        "status": "SUCCEEDED" if done else "PENDING",
        "messages": json.dumps(messages) if messages is not None else None,
        "request": json.dumps(request or {}),
        "results": json.dumps(results),
        "note": note,
        "done": done,
    }
