"""A memory as mem0's clients know it. Plain values from light rows: a list of a thousand is built in a few ms."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row

from app.memory.answer import Answer
from app.memory.models import Memory, MemoryHistory

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
COLUMNS: tuple[ColumnElement[Any], ...] = tuple(
    column.label("metadata_") if column.name == "metadata" else column
    for column in Memory.__table__.c
    if column.name not in ("namespace", "context", "hash", "state", "importance", "accessed_at", "access_count")
)


def as_memory(row: Memory | Row[Any]) -> Answer:
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
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "expiration_date": row.expires_on,
        "structured_attributes": structured(row.created_at),
        "immutable": row.immutable,
        "kind": row.kind,
        "replaced_by": row.replaced_by,
        "synthesized": False,
        "lifecycle_state": "archived" if row.archived_at else "superseded" if row.replaced_by else "active",
    }


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
