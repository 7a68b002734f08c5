"""The events of a completion. What fails before the model has sent anything has a status of its own."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import Request

from app.chat.completions.turn import CompletionTurn
from app.chat.progress import TurnEvent
from app.chat.turn.stream import run_events, while_connected
from app.core.errors import AppError

FROM_MODEL = ("chunk", "token")
Events = AsyncGenerator[TurnEvent | AppError, None]


async def begin_stream(request: Request, turn: CompletionTurn) -> Events:
    """Waits for the first part of the answer. The turn ends if the client disconnects meanwhile."""
    events = run_events(turn.resources.background, turn.run())
    early = await while_connected(request, _read_until_answer(events))
    return _continue(early, events)


async def _read_until_answer(events: Events) -> list[TurnEvent]:
    early: list[TurnEvent] = []
    async for event in events:
        if isinstance(event, AppError):
            await events.aclose()
            raise event
        early.append(event)
        if event.kind in FROM_MODEL:
            break
    return early


async def _continue(early: list[TurnEvent], events: Events) -> Events:
    async with aclosing(events):
        for event in early:
            yield event
        async for later in events:
            yield later


async def collect_events(request: Request, turn: CompletionTurn) -> dict[str, dict[str, object]]:
    """The events of a whole answer by kind. The text of an answer that needed no model is that of its one token."""
    return await while_connected(request, _collect(turn))


async def _collect(turn: CompletionTurn) -> dict[str, dict[str, object]]:
    async with aclosing(turn.run()) as events:
        return {event.kind: event.data async for event in events}
