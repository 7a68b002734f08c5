"""A turn of conversation, whole or as a stream of events: in a session, or in one made for it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from app.chat.schemas import ChatRequest, TurnAnswer, TurnRequest
from app.chat.turn.prepare import prepare_turn
from app.chat.turn.run import run_turn
from app.chat.turn.stream import answer_whole, stream_events
from app.chat.types import Asked, Turn
from app.core.resources import Resources, ResourcesDep
from app.identity.caller import SessionWriter

router = APIRouter(tags=["chat"])
IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=255, description="A turn sent again with the same key answers the same")
]
DESCRIBED: dict[int | str, dict[str, object]] = {200: {"model": TurnAnswer, "content": {"text/event-stream": {}}}}


def wants_stream(request: Request, *, asked: bool) -> bool:
    return asked or "text/event-stream" in request.headers.get("accept", "")


@router.post("/v1/sessions/{session_id}/messages", response_model=TurnAnswer, responses=DESCRIBED)
async def send_message(
    session_id: UUID,
    body: TurnRequest,
    request: Request,
    caller: SessionWriter,
    resources: ResourcesDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """One turn. `"stream": true` or `Accept: text/event-stream` streams `recalled`, `token`…, `message`, `done`."""
    asked = Asked(body.content, body, session_id=session_id, idempotency_key=idempotency_key)
    turn = await prepare_turn(resources, caller, asked)
    return await respond(request, resources, turn, stream=wants_stream(request, asked=body.stream))


@router.post("/v1/chat", response_model=TurnAnswer, responses=DESCRIBED)
async def chat(
    body: ChatRequest,
    request: Request,
    caller: SessionWriter,
    resources: ResourcesDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The same without a session made first: a new one is opened, and named in the answer."""
    asked = Asked(
        body.message,
        body,
        session_id=body.session_id,
        profile_id=body.profile_id,
        privacy_mode=body.privacy_mode,
        user_id=body.user_id,
        idempotency_key=idempotency_key,
    )
    turn = await prepare_turn(resources, caller, asked)
    return await respond(request, resources, turn, stream=wants_stream(request, asked=body.stream))


async def respond(request: Request, resources: Resources, turn: Turn, *, stream: bool) -> Response:
    if stream:
        return stream_events(resources.background, run_turn(resources, turn))
    return JSONResponse(await answer_whole(request, run_turn(resources, turn)))
