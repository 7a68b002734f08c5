"""/v1/event/ and /v1/events/: what became of a request. /v1/memories/events/: every change of every memory."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.core.errors import BadRequest
from app.gateways.mem0.errors import REFUSALS, PlainRefusals
from app.gateways.mem0.events.render import as_event, between, words_of
from app.gateways.mem0.memories.render import as_history
from app.gateways.mem0.memories.schemas import EventPage, EventShown, HistoryPage
from app.gateways.mem0.responses import Json, envelope
from app.identity.caller import MemoryReader
from app.identity.transaction import Transaction
from app.memory.ledger.events import EventRepository, HistoryRepository
from app.memory.ledger.models import MemoryEvent

router = APIRouter(prefix="/v1", tags=["events"], responses=REFUSALS, route_class=PlainRefusals)
PageNumber = Annotated[int, Query(ge=1, le=10_000_000)]
PageSize = Annotated[int, Query(ge=1, le=100)]
Word = Annotated[str, Query(pattern=r"^[A-Za-z_]{1,30}$")] | None


@router.get("/event/{event_id}/", responses={200: {"model": EventShown}}, response_class=Json)
async def get_event(event_id: str, caller: MemoryReader, tx: Transaction) -> Json:
    """PENDING, RUNNING, FAILED (with `error`) or SUCCEEDED; no results means that nothing was worth remembering."""
    event = await EventRepository(tx, caller.project_id, caller.user_id).read(read_event_id(event_id))
    return Json(as_event(event, await words_of(tx, caller.project_id, [event])))


def read_event_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("The id of an event is a UUID, such as 550e8400-e29b-41d4-a716-446655440000") from None


@router.get("/events/", responses={200: {"model": EventPage}}, response_class=Json)
async def list_events(
    request: Request,
    caller: MemoryReader,
    tx: Transaction,
    event_type: Annotated[Word, Query(description="ADD, UPDATE, DELETE, DELETE_ALL or DELETE_USER")] = None,
    status: Word = None,
    start_date: str | None = None,
    end_date: str | None = None,
    page: PageNumber = 1,
    page_size: PageSize = 50,
) -> Json:
    """Newest first."""
    where = between(start_date, end_date)
    if event_type:
        where.append(MemoryEvent.event_type == event_type.upper())
    if status:
        where.append(MemoryEvent.status == status.upper())
    count, rows = await EventRepository(tx, caller.project_id, caller.user_id).part(where, page, page_size)
    words = await words_of(tx, caller.project_id, rows)
    return Json(envelope(request, page, page_size, count, [as_event(row, words) for row in rows]))


@router.get("/memories/events/", responses={200: {"model": HistoryPage}}, response_class=Json)
async def list_changes(
    request: Request, caller: MemoryReader, tx: Transaction, page: PageNumber = 1, page_size: PageSize = 100
) -> Json:
    """What happened to memories, newest first."""
    count, rows = await HistoryRepository(tx, caller.project_id, caller.user_id).part(page, page_size)
    return Json(envelope(request, page, page_size, count, [as_history(row, None) for row in rows]))
