"""Carry a turn's events to the client: as server-sent events, or collected into one answer.

Either way a client that goes away closes the turn, which stops the model.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Send

from app.chat.progress import Event
from app.core.background_tasks import Background
from app.core.errors import AppError
from app.core.http.error_responses import translate_database_error

log = structlog.get_logger()
KEEP_ALIVE_SECONDS = 15
GONE = 499
END = b""


class ClientGone(AppError):
    """Nobody will read this: it only says in the log why the turn ended."""

    status, code = GONE, "client_gone"


class EventStream(StreamingResponse):
    """Closes its source at once when the client has gone, not whenever it is collected as garbage."""

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        source = self.body_iterator
        assert isinstance(source, AsyncGenerator)
        async with aclosing(source):
            await super().stream_response(send)


def stream_events(background: Background, events: AsyncGenerator[Event, None]) -> EventStream:
    return EventStream(_as_bytes(background, events), headers={"X-Accel-Buffering": "no"})


async def _as_bytes(background: Background, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """The turn runs in one task of its own, which ends in its own time when nobody reads any more."""
    said: asyncio.Queue[bytes] = asyncio.Queue()
    telling = background.start(_tell(events, said))
    telling.add_done_callback(lambda _: said.put_nowait(END))
    alive = background.start(_keep_alive(said))
    try:
        while (piece := await said.get()) != END:
            yield piece
        await telling
    finally:
        alive.cancel()
        telling.cancel()


async def _keep_alive(said: asyncio.Queue[bytes]) -> None:
    """A sign of life now and then, whether the model speaks or not: one timer for a stream, and not one for a word."""
    while True:
        await asyncio.sleep(KEEP_ALIVE_SECONDS)
        said.put_nowait(format_sse_event(comment="keep-alive"))


async def _tell(events: AsyncGenerator[Event, None], said: asyncio.Queue[bytes]) -> None:
    """The status has been sent by now: from here on a failure is an event."""
    try:
        async with aclosing(events) as source:
            async for event in source:
                said.put_nowait(_encode(event))
    except AppError as error:
        said.put_nowait(_encode(_as_event(error)))
    except SQLAlchemyError as error:
        log.error("database.failed", exc_info=error)
        said.put_nowait(_encode(_as_event(translate_database_error(error))))


def _encode(event: Event) -> bytes:
    return format_sse_event(event=event.kind, data_str=json.dumps(event.data, ensure_ascii=False))


def _as_event(error: AppError) -> Event:
    return Event("error", {"detail": error.detail, "code": error.reason, "status": error.status})


async def answer_whole(request: Request, events: AsyncGenerator[Event, None]) -> dict[str, object]:
    reading = asyncio.create_task(_last_message(events))
    leaving = asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            raise ClientGone("The client went away")
        return reading.result()
    finally:
        for task in (reading, leaving):
            task.cancel()
        await asyncio.gather(reading, leaving, return_exceptions=True)


async def _last_message(events: AsyncGenerator[Event, None]) -> dict[str, object]:
    async with aclosing(events) as source:
        messages = [event.data async for event in source if event.kind == "message"]
    return messages[-1]


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
