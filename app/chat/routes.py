"""A chat turn, whole or as a stream of events: in an existing session, or in one created for it."""

from typing import Annotated
from uuid import UUID

from fastapi import Header, Request
from fastapi.responses import Response

from app.chat.schemas import ChatRequest, TurnAnswer, TurnProblem, TurnRequest
from app.chat.turn.prepare import prepare
from app.chat.turn.stream import collect_answer, respond
from app.chat.types import TurnInput
from app.core.errors import AppError
from app.core.http.strict_requests import own_router
from app.core.resources import Resources, ResourcesDep
from app.identity.caller import Caller, SessionWriter
from app.memory.ledger import Door

router = own_router(tags=["Chat"])
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=255, description="A repeated turn with the same key receives the same answer."),
]
RESPONSES: dict[int | str, dict[str, object]] = {
    200: {"model": TurnAnswer, "content": {"text/event-stream": {}}},
    503: {"model": TurnProblem, "description": "The language model or another system is unavailable or busy."},
    504: {"model": TurnProblem, "description": "The language model or the request took too long."},
}


@router.post("/v1/sessions/{session_id}/messages", response_model=TurnAnswer, responses=RESPONSES)
async def send_message(
    session_id: UUID,
    body: TurnRequest,
    request: Request,
    caller: SessionWriter,
    resources: ResourcesDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Sends a message to a session and returns the answer.

    With `"stream": true` or `Accept: text/event-stream`, the answer is streamed as the events `recalled`, `token`…,
    `message` and `done`."""
    message = TurnInput(body.content, body, session_id=session_id, idempotency_key=idempotency_key)
    turn = await prepare(resources, caller, message)
    return await respond(request, resources, turn, stream=body.stream)


@router.post("/v1/chat", response_model=TurnAnswer, responses=RESPONSES)
async def chat(
    body: ChatRequest,
    request: Request,
    caller: SessionWriter,
    resources: ResourcesDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Sends a message without creating a session first. If `session_id` is left out, a new session is created.

    The response names the session, and can be streamed as in `POST /v1/sessions/{session_id}/messages`."""
    turn = await prepare(resources, caller, read_turn(body, idempotency_key))
    return await respond(request, resources, turn, stream=body.stream)


def read_turn(body: ChatRequest, idempotency_key: str | None, door: Door = Door.CHAT) -> TurnInput:
    return TurnInput(
        body.message,
        body,
        session_id=body.session_id,
        profile_id=body.profile_id,
        privacy_mode=body.privacy_mode,
        user_id=body.user_id,
        idempotency_key=idempotency_key,
        door=door,
    )


async def answer_whole(
    request: Request, resources: Resources, caller: Caller, body: ChatRequest, idempotency_key: str | None, door: Door
) -> dict[str, object]:
    """The answer as a value, for APIs with a response of their own. An error names the session."""
    turn = await prepare(resources, caller, read_turn(body, idempotency_key, door))
    try:
        return await collect_answer(request, resources, turn)
    except AppError as error:
        error.fields = {"session_id": str(turn.session_id), **error.fields}
        raise
