"""/v1/event/ and /v1/events/: the outcome of requests. /v1/memories/events/: the changes of all memories."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.core.errors import Conflict
from app.core.http.openapi_errors import Problem
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.events.read import read_event, read_event_page
from app.gateways.mem0.events.render import load_contents, render_event
from app.gateways.mem0.memories.render import render_history
from app.gateways.mem0.memories.schemas import EventPage, EventRead, HistoryPage
from app.gateways.mem0.project_check import parse_uuid
from app.gateways.mem0.responses import FastJson, page_of_results
from app.identity.caller import MemoryReader, MemoryWriter
from app.identity.transaction import Transaction
from app.memory.ledger import EventRepository, HistoryRepository
from app.memory.retry_event import retry_event

router = APIRouter(prefix="/v1", tags=["Events"], responses=ERROR_RESPONSES, route_class=Mem0Route)
NOT_FAILED = {"model": Problem, "description": "The event has not failed."}
PageNumber = Annotated[int, Query(ge=1, le=10_000_000)]
PageSize = Annotated[int, Query(ge=1, le=100)]
EventWord = Annotated[str, Query(pattern=r"^[A-Za-z_]{1,30}$")] | None


@router.get("/event/{event_id}/", responses={200: {"model": EventRead}}, response_class=FastJson)
async def get_event(event_id: str, caller: MemoryReader, tx: Transaction) -> FastJson:
    """Returns the outcome of a request: PENDING, RUNNING, SUCCEEDED, or FAILED with an `error`.

    SUCCEEDED without results means that the messages contained nothing worth remembering.
    """
    return FastJson(await read_event(tx, caller, event_id))


@router.post("/event/{event_id}/retry", responses={200: {"model": EventRead}, 409: NOT_FAILED}, response_class=FastJson)
async def retry_failed_event(event_id: str, caller: MemoryWriter, tx: Transaction) -> FastJson:
    """Tries a failed event again, with as many attempts as a new one. Returns it as PENDING."""
    events = EventRepository(tx, caller.project_id, caller.user_id)
    event = await events.get(parse_uuid(event_id, "an event"))
    if not await retry_event(tx, caller.project_id, event.id):
        raise Conflict(f"Only a failed event can be retried. The status of this one is {event.status}.")
    await tx.refresh(event)
    return FastJson(render_event(event, await load_contents(tx, caller.project_id, [event])))


@router.get("/events/", responses={200: {"model": EventPage}}, response_class=FastJson)
async def list_events(
    request: Request,
    caller: MemoryReader,
    tx: Transaction,
    event_type: Annotated[EventWord, Query(description="ADD, UPDATE, DELETE, DELETE_ALL or DELETE_USER.")] = None,
    status: EventWord = None,
    start_date: str | None = None,
    end_date: str | None = None,
    page: PageNumber = 1,
    page_size: PageSize = 50,
) -> FastJson:
    """Lists the events of the project, newest first."""
    count, events = await read_event_page(
        tx,
        caller,
        event_type=event_type,
        status=status,
        start_date=start_date,
        end_date=end_date,
        page=page,
        page_size=page_size,
    )
    return FastJson(page_of_results(request, page, page_size, count, events))


@router.get("/memories/events/", responses={200: {"model": HistoryPage}}, response_class=FastJson)
async def list_memory_changes(
    request: Request, caller: MemoryReader, tx: Transaction, page: PageNumber = 1, page_size: PageSize = 100
) -> FastJson:
    """Lists the changes of all memories, newest first."""
    count, rows = await HistoryRepository(tx, caller.project_id, caller.user_id).numbered_page(page, page_size)
    return FastJson(page_of_results(request, page, page_size, count, [render_history(row, None) for row in rows]))
