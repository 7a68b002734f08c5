"""Send a turn's events to the client: as server-sent events, or collected into one answer.

Either way, a client that disconnects closes the turn, which stops the model.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import TypeVar

import structlog
from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.sse import format_sse_event
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Send

from app.chat.progress import TurnEvent
from app.chat.turn.turn import ChatTurn, repeat_answer
from app.chat.types import Answered, Prepared
from app.core.background_tasks import Background
from app.core.errors import AppError
from app.core.http.error_responses import translate_database_error
from app.core.resources import Resources

log = structlog.get_logger()
T = TypeVar("T")
KEEP_ALIVE_SECONDS = 15
CLIENT_CLOSED_REQUEST = 499
KEEP_ALIVE = TurnEvent("keep-alive", {})


class ClientGone(AppError):
    """The client receives no response: this status only appears in the log, as the reason why the turn ended."""

    status, code = CLIENT_CLOSED_REQUEST, "client_gone"


class EventStream(StreamingResponse):
    """Closes its source as soon as the client disconnects, instead of when it is collected as garbage."""

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        source = self.body_iterator
        assert isinstance(source, AsyncGenerator)
        async with aclosing(source):
            await super().stream_response(send)


async def respond(request: Request, resources: Resources, turn: Prepared | Answered, *, stream: bool) -> Response:
    request.state.error_fields = named = {"session_id": str(turn.session_id)}
    if stream or "text/event-stream" in request.headers.get("accept", ""):
        events = _stream_events(resources.background, _events_of(resources, turn), named)
        return EventStream(events, headers={"X-Accel-Buffering": "no"})
    return JSONResponse(await collect_answer(request, resources, turn))


def _events_of(resources: Resources, turn: Prepared | Answered) -> AsyncGenerator[TurnEvent, None]:
    return repeat_answer(resources, turn) if isinstance(turn, Answered) else ChatTurn(resources, turn).run()


async def _stream_events(
    background: Background, events: AsyncGenerator[TurnEvent, None], named: dict[str, str]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(run_events(background, events)) as running:
        async for event in running:
            if event is KEEP_ALIVE:
                yield format_sse_event(comment=event.kind)
                continue
            shown = _error_event(event, named) if isinstance(event, AppError) else event
            yield format_sse_event(event=shown.kind, data_str=json.dumps(shown.data, ensure_ascii=False))


async def run_events(
    background: Background, events: AsyncGenerator[TurnEvent, None]
) -> AsyncGenerator[TurnEvent | AppError, None]:
    """The turn runs in a task of its own, which can end in its own time after the client has gone."""
    queue: asyncio.Queue[TurnEvent | AppError | None] = asyncio.Queue()
    keeping_alive = background.start(_keep_alive(queue))
    running = background.start(_queue_events(events, queue))
    running.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            yield event
        await running
    finally:
        keeping_alive.cancel()
        running.cancel()


async def _keep_alive(queue: asyncio.Queue[TurnEvent | AppError | None]) -> None:
    """One timer for each stream, not one for each token: a comment is sent whether or not the model is silent."""
    while True:
        await asyncio.sleep(KEEP_ALIVE_SECONDS)
        queue.put_nowait(KEEP_ALIVE)


async def _queue_events(
    events: AsyncGenerator[TurnEvent, None], queue: asyncio.Queue[TurnEvent | AppError | None]
) -> None:
    """The status may have been sent already, so a failure becomes an event."""
    try:
        async with aclosing(events) as source:
            async for event in source:
                queue.put_nowait(event)
    except AppError as error:
        queue.put_nowait(error)
    except SQLAlchemyError as error:
        log.error("database.failed", exc_info=error)
        queue.put_nowait(translate_database_error(error))


def _error_event(error: AppError, named: dict[str, str]) -> TurnEvent:
    return TurnEvent("error", {"detail": error.detail, "code": error.reason, "status": error.status, **named})


async def collect_answer(request: Request, resources: Resources, turn: Prepared | Answered) -> dict[str, object]:
    return await while_connected(request, _last_message(_events_of(resources, turn)))


async def while_connected(request: Request, work: Coroutine[object, object, T]) -> T:
    """The result of the work, which ends early if the client disconnects."""
    disconnecting = asyncio.create_task(_wait_for_disconnect(request))
    working = asyncio.create_task(work)
    try:
        await asyncio.wait({working, disconnecting}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone("The client disconnected.")
        return working.result()
    finally:
        for task in (working, disconnecting):
            task.cancel()
        await asyncio.gather(working, disconnecting, return_exceptions=True)


async def _last_message(events: AsyncGenerator[TurnEvent, None]) -> dict[str, object]:
    async with aclosing(events) as source:
        messages = [event.data async for event in source if event.kind == "message"]
    return messages[-1]


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
