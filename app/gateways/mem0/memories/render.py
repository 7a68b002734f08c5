"""A memory as mem0's clients know it: from a row, or for whole lists as text that Postgres writes on its own processor.

Both say the same to the letter, which tests/gateways/mem0/memories/test_render.py holds them to.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from app.gateways.mem0.responses import Answer
from app.memory.ledger.models import Memory, MemoryHistory
from app.memory.recall.recall import SearchRow

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# One to_char for all of the parts: it is what a list of a thousand spends most of its time on.
PARTS = (
    r"""'{"\"year\":"FMYYYY",\"month\":"FMMM",\"day\":"FMDD",\"hour\":"FMHH24",\"minute\":"FMMI","""
    r"""\"day_of_week\":\""FMday"\",\"week_of_year\":"FMIW",\"day_of_year\":"FMDDD",\"quarter\":"Q","""
    r"""\"is_weekend\":"'"""
)
INSTANT = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""


def _text(column: str) -> str:
    return f"coalesce(to_json({column})::text, 'null')"


def _plain(column: str) -> str:
    return f"""coalesce('"' || {column} || '"', 'null')"""


# Put together as text, in half the time of json_build_object.
AS_JSON = rf"""
'{{"id":"' || id || '","memory":' || to_json(content)::text || ',"user_id":' || {_text("user_id")}
|| ',"agent_id":' || {_text("agent_id")} || ',"app_id":' || {_text("app_id")} || ',"run_id":' || {_text("run_id")}
|| ',"session_id":' || {_text("run_id")} || ',"profile_id":' || {_plain("profile_id")}
|| ',"metadata":' || metadata || ',"categories":' || {_text("categories")}
|| ',"created_at":"' || to_char(created_at at time zone 'UTC', {INSTANT})
|| '","updated_at":"' || to_char(updated_at at time zone 'UTC', {INSTANT})
|| '","expiration_date":' || {_text("expires_on")}
|| ',"structured_attributes":' || to_char(created_at at time zone 'UTC', {PARTS})
|| case when extract(isodow from created_at at time zone 'UTC') > 5 then 'true' else 'false' end
|| '}},"immutable":' || immutable || ',"kind":"' || kind || '","replaced_by":' || {_plain("replaced_by")}
|| ',"synthesized":false,"lifecycle_state":'
|| case when archived_at is not null then '"archived"}}' when replaced_by is not null then '"superseded"}}'
   else '"active"}}' end
"""


def as_memory(row: Memory | SearchRow | Row[Any]) -> Answer:
    return {
        "id": row.id,
        "memory": row.content,
        "user_id": row.user_id,
        "agent_id": row.agent_id,
        "app_id": row.app_id,
        "run_id": row.run_id,
        "session_id": row.run_id,
        "profile_id": row.profile_id,
        "metadata": row.metadata_,
        "categories": row.categories,
        "created_at": said(row.created_at),
        "updated_at": said(row.updated_at),
        "expiration_date": row.expires_on,
        "structured_attributes": structured(row.created_at),
        "immutable": row.immutable,
        "kind": row.kind,
        "replaced_by": row.replaced_by,
        "synthesized": False,
        "lifecycle_state": "archived" if row.archived_at else "superseded" if row.replaced_by else "active",
    }


def said(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def structured(moment: dt.datetime) -> Answer:
    """When a memory was made, in parts, in UTC."""
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


def pick(shown: Answer, fields: Sequence[str] | None) -> Answer:
    """Only the fields asked for, if any were."""
    return {name: shown[name] for name in fields if name in shown} if fields else shown


def as_history(row: MemoryHistory, categories: Sequence[str] | None) -> Answer:
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
