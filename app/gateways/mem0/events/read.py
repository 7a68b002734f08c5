"""Read the events of a project: a page of them, or one."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.gateways.mem0.events.render import created_between, load_contents, render_event
from app.gateways.mem0.project_check import parse_uuid
from app.gateways.mem0.responses import JsonObject
from app.identity.caller import Caller
from app.memory.ledger import EventRepository, MemoryEvent


async def read_event(tx: AsyncSession, caller: Caller, event_id: str) -> JsonObject:
    event = await EventRepository(tx, caller.project_id, caller.user_id).get(parse_uuid(event_id, "an event"))
    return render_event(event, await load_contents(tx, caller.project_id, [event]))


async def read_event_page(
    tx: AsyncSession,
    caller: Caller,
    *,
    event_type: str | None,
    status: str | None,
    start_date: str | None,
    end_date: str | None,
    page: int,
    page_size: int,
) -> tuple[int, list[JsonObject]]:
    """Newest first, with the count of all pages."""
    where = created_between(start_date, end_date)
    if event_type:
        where.append(MemoryEvent.event_type == event_type.upper())
    if status:
        where.append(MemoryEvent.status == status.upper())
    count, rows = await EventRepository(tx, caller.project_id, caller.user_id).numbered_page(where, page, page_size)
    contents = await load_contents(tx, caller.project_id, rows)
    return count, [render_event(row, contents) for row in rows]
