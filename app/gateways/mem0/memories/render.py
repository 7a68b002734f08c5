"""Memories in mem0's shape: rendered in Python from a row, and for whole lists by Postgres as JSON text.

`MemoryRead` lists the fields once, with both renderings of each. tests/gateways/mem0/memories/test_render.py checks
that they are equal to the letter.
"""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from pydantic_core import to_json
from sqlalchemy import Row

from app.core.database.content import MARK_BYTES
from app.core.ports import ContentCipher
from app.gateways.mem0.responses import JsonObject
from app.memory.ledger import Kind, Memory, MemoryHistory, SearchRow, source_of

MemoryRow = Memory | SearchRow | Row[Any]
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TIMESTAMP_FORMAT = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""
# One to_char for all parts: with one for each part, a list of a thousand memories would spend most of its time here.
TIME_PARTS_FORMAT = (
    r"""'{"\"year\":"FMYYYY",\"month\":"FMMM",\"day\":"FMDD",\"hour\":"FMHH24",\"minute\":"FMMI","""
    r"""\"day_of_week\":\""FMday"\",\"week_of_year\":"FMIW",\"day_of_year\":"FMDDD",\"quarter\":"Q","""
    r"""\"is_weekend\":"'"""
)
TIME_PARTS_SQL = f"""to_char(created_at at time zone 'UTC', {TIME_PARTS_FORMAT})
|| case when extract(isodow from created_at at time zone 'UTC') > 5 then 'true' else 'false' end || '}}'"""
SOURCE_SQL = "coalesce(source, case role when 'assistant' then 'assistant' else 'user' end)"
LIFECYCLE_SQL = """case when archived_at is not null then 'archived' when replaced_by is not null then 'superseded'
else 'active' end"""


def format_timestamp(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def structured_attributes(moment: dt.datetime) -> JsonObject:
    """The parts of a memory's creation time, in UTC."""
    day = moment.timetuple()
    return {
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "day_of_week": DAYS[day.tm_wday],
        "week_of_year": moment.isocalendar()[1],
        "day_of_year": day.tm_yday,
        "quarter": (moment.month + 2) // 3,
        "is_weekend": day.tm_wday >= 5,
    }


def lifecycle_state(row: MemoryRow) -> str:
    return "archived" if row.archived_at else "superseded" if row.replaced_by else "active"


@dataclass(frozen=True, slots=True)
class Rendering:
    """How to get one field from a row, and the SQL of its JSON text, written between `quote`s."""

    read: Callable[[Any], object]
    sql: str
    quote: str = ""


def json_column(name: str, attribute: str | None = None) -> Rendering:
    return Rendering(attrgetter(attribute or name), f"coalesce(to_json({name})::text, 'null')")


def id_column(name: str) -> Rendering:
    return Rendering(attrgetter(name), f"""coalesce('"' || {name} || '"', 'null')""")


def timestamp_column(name: str) -> Rendering:
    sql = f"to_char({name} at time zone 'UTC', {TIMESTAMP_FORMAT})"
    return Rendering(lambda row: format_timestamp(getattr(row, name)), sql, quote='"')


def optional_timestamp_column(name: str) -> Rendering:
    sql = f"""coalesce('"' || to_char({name} at time zone 'UTC', {TIMESTAMP_FORMAT}) || '"', 'null')"""
    return Rendering(lambda row: format_timestamp(moment) if (moment := getattr(row, name)) else None, sql)


class MemoryRead(BaseModel):
    id: Annotated[UUID, Rendering(attrgetter("id"), "id", quote='"')]
    memory: Annotated[str, Rendering(attrgetter("content"), "to_json(content)::text")]
    user_id: Annotated[str | None, json_column("user_id")]
    agent_id: Annotated[str | None, json_column("agent_id")]
    app_id: Annotated[str | None, json_column("app_id")]
    run_id: Annotated[str | None, json_column("run_id")]
    session_id: Annotated[str | None, json_column("run_id"), Field(description="The same as `run_id`.")]
    profile_id: Annotated[UUID | None, id_column("profile_id")]
    metadata: Annotated[dict[str, Any] | None, Rendering(attrgetter("metadata_"), "metadata")]
    categories: Annotated[list[str] | None, json_column("categories")]
    created_at: Annotated[dt.datetime, timestamp_column("created_at")]
    updated_at: Annotated[dt.datetime, timestamp_column("updated_at")]
    expiration_date: Annotated[dt.date | None, json_column("expires_on")]
    structured_attributes: Annotated[
        dict[str, Any], Rendering(lambda row: structured_attributes(row.created_at), TIME_PARTS_SQL)
    ]
    standing: Annotated[bool, Rendering(attrgetter("standing"), "standing")]
    source: Annotated[
        Literal["user", "assistant", "tool", "import"],
        Rendering(lambda row: row.source or source_of(row.role), SOURCE_SQL, quote='"'),
    ]
    door: Annotated[str | None, Rendering(attrgetter("door"), """coalesce('"' || door || '"', 'null')""")]
    immutable: Annotated[bool, Rendering(attrgetter("immutable"), "immutable")]
    kind: Annotated[Literal["fact", "episode", "summary"], Rendering(attrgetter("kind"), "kind", quote='"')]
    replaced_by: Annotated[UUID | None, id_column("replaced_by"), Field(description="The memory that superseded it.")]
    valid_from: Annotated[
        dt.datetime | None,
        optional_timestamp_column("valid_from"),
        Field(description="Since when it is true instead of a memory that it replaced."),
    ]
    valid_until: Annotated[
        dt.datetime | None, optional_timestamp_column("valid_until"), Field(description="When it was replaced.")
    ]
    synthesized: Annotated[
        bool,
        Rendering(lambda row: row.kind == Kind.SUMMARY, "(kind = 'summary')::text"),
        Field(description="Whether it is a summary of older memories, which name it in `replaced_by`."),
    ]
    lifecycle_state: Annotated[str, Rendering(lifecycle_state, LIFECYCLE_SQL, quote='"')]


class MemorySource(BaseModel):
    """Where a memory was said: in which run or session, by whom, through which API."""

    source: Literal["user", "assistant", "tool", "import"]
    door: str | None
    run_id: str | None
    session_id: str | None = Field(description="The same as `run_id`.")
    message_id: UUID | None = Field(description="The message of the session.")
    created_at: dt.datetime


class OneMemory(MemoryRead):
    sources: list[MemorySource] = Field(
        description="Where it was said, the first time and up to 50 times more; and that of memories merged into it."
    )


RENDERINGS = {
    name: next(each for each in field.metadata if isinstance(each, Rendering))
    for name, field in MemoryRead.model_fields.items()
}


def object_sql(renderings: dict[str, Rendering]) -> str:
    """A JSON object as concatenated text, which takes Postgres half the time of json_build_object."""
    text = ""
    for name, each in renderings.items():
        separator = "," if text else "'{"
        text += f"""{separator}"{name}":{each.quote}' || {each.sql} || '{each.quote}"""
    return text + "}'"


MEMORY_JSON_SQL = object_sql(RENDERINGS)
# In a text between quotes, every quote is escaped, so that nothing that a client stores looks like this.
SEALED_MEMORY = re.compile(rb'(?<=\{"id":")([0-9a-f-]{36})","memory":"(%s[^"]+)"' % MARK_BYTES)


def open_sealed(cipher: ContentCipher, memories: bytes) -> bytes:
    """The JSON text that Postgres renders of an encrypted project, with the content of the memories decrypted."""

    def opened(found: re.Match[bytes]) -> bytes:
        content = cipher.open(found[2].decode(), {UUID(found[1].decode()).bytes})
        text = found[2] if content is None else content
        return found[1] + b'","memory":' + to_json(text.decode())

    return SEALED_MEMORY.sub(opened, memories)


def render_memory(row: MemoryRow) -> JsonObject:
    return {name: rendering.read(row) for name, rendering in RENDERINGS.items()}


def pick_fields(memory: JsonObject, fields: Sequence[str] | None) -> JsonObject:
    return {name: memory[name] for name in fields if name in memory} if fields else memory


def render_history(row: MemoryHistory, categories: Sequence[str] | None) -> JsonObject:
    return {
        "id": row.id,
        "memory_id": row.memory_id,
        "input": row.input,
        "old_memory": row.old_memory,
        "new_memory": row.new_memory,
        "user_id": row.user_id,
        "agent_id": row.agent_id,
        "app_id": row.app_id,
        "run_id": row.run_id,
        "session_id": row.run_id,
        "categories": categories,
        "event": row.event,
        "metadata": row.metadata_,
        "created_at": row.created_at,
        "updated_at": row.created_at,
    }


def render_sources(memory: Memory, repeats: Sequence[MemoryHistory]) -> list[JsonObject]:
    """A repetition by a less trusted source has changed the source of the memory, and says what it was before."""
    first = (repeats[0].metadata_ or {}).get("source_before") if repeats else None
    return [
        _render_source(
            memory,
            source=first or memory.source or source_of(memory.role),
            door=memory.door,
            message_id=memory.source_message_id,
        ),
        *(_render_source(each, **(each.metadata_ or {})) for each in repeats),
    ]


def _render_source(said: Memory | MemoryHistory, **values: object) -> JsonObject:
    return {
        "source": values.get("source", "user"),
        "door": values.get("door"),
        "run_id": said.run_id,
        "session_id": said.run_id,
        "message_id": values.get("message_id"),
        "created_at": format_timestamp(said.created_at),
    }
