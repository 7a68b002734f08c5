"""The further sources of a memory: who said it again, where and when. Its first source is the row of the memory."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import text

from app.core.database.database import TextStatement
from app.memory.ledger.memory import FIELDS, NewMemory, source_of
from app.memory.origin import ENTITY_FIELDS

MAX_REPEATS = 50
"""For each memory, the first ones. A client that adds the same words each minute must not fill the history."""
_ORIGIN = ", ".join(ENTITY_FIELDS)
_SOURCE = "coalesce(m.source, case m.role when 'assistant' then 'assistant' else 'user' end)"
_TRUST = "array_position(array['import', 'tool', 'assistant', 'user'], {})"
# What is read of a memory that is said again. `repeated` has this, and who repeats it, so that no statement joins the
# memories: Postgres would read a table that is not analyzed yet from end to end.
REPEATED_FIELDS = f"""m.id as memory_id, m.kind as memory_kind, m.user_id as memory_user,
  m.source_message_id as memory_message, {_SOURCE} as memory_source"""
# The less trusted source of the two is the memory's from then on. The same message is no further source: an event that
# failed is read again.
RECORD_REPEATS = f"""trusted_more as (
  select m.id from memories m where m.project_id = :project_id and m.id = any(array(select memory_id from repeated r
    where {_TRUST.format("r.source")} < {_TRUST.format("r.memory_source")})) order by m.id for update
), less_trusted as (
  update memories m set source = (select r.source from repeated r where r.memory_id = m.id
    order by {_TRUST.format("r.source")} limit 1)
  where m.project_id = :project_id and m.id = any(array(select id from trusted_more))
), repeats as (
  insert into memory_history (project_id, memory_id, {_ORIGIN}, kind, event, metadata, created_at)
  select :project_id, memory_id, memory_user, {", ".join(ENTITY_FIELDS[1:])}, memory_kind, 'REPEAT',
    jsonb_strip_nulls(jsonb_build_object('source', source, 'door', door, 'message_id', source_message_id,
      'source_before', memory_source)), coalesce(created_at, now())
  from repeated r
  where (source_message_id is null or source_message_id is distinct from memory_message)
    and (select count(*) from memory_history h
      where h.project_id = :project_id and h.memory_id = r.memory_id and h.event = 'REPEAT') < {MAX_REPEATS}
)"""  # noqa: S608  # only our own column names are put together
_FIELDS = ", ".join(f"{name} {FIELDS[name]}" for name in (*ENTITY_FIELDS, "source", "door", "source_message_id"))
RECORD_REPEATS_SQL = text(f"""
with repeated as (
  select record.*, found.* from jsonb_to_recordset(cast(:rows as jsonb)) as record
    (of_memory uuid, created_at timestamptz, {_FIELDS})
  cross join lateral (
    select {REPEATED_FIELDS} from memories m where m.project_id = :project_id and m.id = record.of_memory limit 1) found
), {RECORD_REPEATS} select 1
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Repeat:
    memory_id: UUID
    new: NewMemory
    """What would have been added if the memory did not exist."""


def repeats_statement(project_id: UUID, repeats: Sequence[Repeat]) -> TextStatement:
    return RECORD_REPEATS_SQL, {
        "rows": json.dumps([_row(each) for each in repeats], default=str),
        "project_id": project_id,
    }


def _row(repeat: Repeat) -> dict[str, object]:
    new = repeat.new
    return {
        "of_memory": repeat.memory_id,
        "created_at": new.created_at,
        **asdict(new.origin),
        "source": new.source or source_of(new.role),
        "door": new.door,
        "source_message_id": new.source_message_id,
    }
