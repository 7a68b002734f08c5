import datetime as dt
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest
from app.gateways.mem0.responses import JsonObject
from app.memory.filters import parse_moment
from app.memory.ledger import Memory, MemoryEvent

PAYLOAD_FIELDS = ("user_id", "agent_id", "app_id", "run_id", "profile_id", "deleted")


def created_between(start: str | None, end: str | None) -> list[ColumnElement[bool]]:
    first, last = _parse_day(start, "start_date"), _parse_day(end, "end_date")
    conditions = [MemoryEvent.created_at >= first] if first else []
    if last:
        conditions.append(MemoryEvent.created_at <= dt.datetime.combine(last, dt.time.max, dt.UTC))
    return conditions


def _parse_day(text: str | None, name: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        when = parse_moment(text)
        return dt.datetime(when.year, when.month, when.day, tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        raise BadRequest(f"`{name}` is a date such as 2026-01-31") from None


async def load_contents(tx: AsyncSession, project_id: UUID, events: Iterable[MemoryEvent]) -> dict[str, str]:
    """The current contents of the memories that the events name. Deleted memories are missing."""
    ids = {result["id"] for event in events for result in event.results}
    if not ids:
        return {}
    query = select(Memory.id, Memory.content).where(Memory.project_id == project_id, Memory.id.in_(ids))
    return {str(row.id): row.content for row in await tx.execute(query)}


def render_event(event: MemoryEvent, contents: dict[str, str]) -> JsonObject:
    return {
        "id": event.id,
        "event_type": event.event_type,
        "status": event.status,
        "payload": _payload(event),
        "metadata": event.request.get("metadata") or {},
        "results": [{**result, "data": {"memory": contents.get(result["id"])}} for result in event.results],
        "note": event.note,
        "created_at": event.created_at,
        "updated_at": event.updated_at,
        "started_at": event.started_at,
        "completed_at": event.completed_at,
        "latency": _latency(event),
        "graph_status": None,
        "error": event.error,
        "waiting_since": event.unavailable_since if event.completed_at is None else None,
    }


def _payload(event: MemoryEvent) -> dict[str, Any]:
    """The attributes of the request. Its messages are deleted when they have been processed."""
    attributes = {name: event.request[name] for name in PAYLOAD_FIELDS if event.request.get(name) is not None}
    messages = {"messages": event.messages} if event.messages is not None else {}
    return {**({"user_id": event.user_id} if event.user_id else {}), **attributes, **messages}


def _latency(event: MemoryEvent) -> float | None:
    if event.started_at is None or event.completed_at is None:
        return None
    return round((event.completed_at - event.started_at).total_seconds() * 1000, 3)
