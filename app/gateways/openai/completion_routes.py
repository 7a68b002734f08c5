"""/v1/chat/completions: OpenAI's chat completions with memory."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.chat.completions import CompletionInput, EventStream, begin_stream, collect_events, prepare_completion
from app.chat.schemas import TurnOptions
from app.core.ports import Json
from app.core.resources import Resources, ResourcesDep
from app.gateways.openai.address import foreign_metadata, read_address, read_confirmation, require_user
from app.gateways.openai.render import ChunkStream, json_response, render_completion
from app.gateways.openai.schemas import ChatCompletion, ChatCompletionRequest
from app.identity.caller import Caller, SessionWriter
from app.memory.ledger import Door

router = APIRouter(tags=["OpenAI"])
OURS = {"user", "metadata", "max_tokens", "max_completion_tokens", "model"}
"""Parameters that this server reads, checks or replaces."""
RESPONSES: dict[int | str, dict[str, Any]] = {200: {"model": ChatCompletion, "content": {"text/event-stream": {}}}}


@router.post("/v1/chat/completions", response_model=ChatCompletion, responses=RESPONSES)
async def create_chat_completion(
    body: ChatCompletionRequest, request: Request, caller: SessionWriter, resources: ResourcesDep
) -> Response:
    """Answers as OpenAI's chat completions do, with the memories of the user.

    Memories that fit the last message are added to the instructions, and the message is remembered as in a chat.
    Nothing is stored as a conversation unless a session is named. `store: false` is incognito."""
    turn = await prepare_completion(resources, caller, read_request(request, caller, resources, body))
    headers = {"X-Session-Id": str(turn.prepared.session_id)} if turn.prepared.in_session else {}
    if not body.stream:
        return json_response(render_completion(turn, await collect_events(request, turn)), headers)
    events = await begin_stream(request, turn)
    usage = bool(body.stream_options and body.stream_options.include_usage)
    headers["X-Accel-Buffering"] = "no"
    return EventStream(ChunkStream(turn, include_usage=usage).render(events), headers=headers)


def read_request(
    request: Request, caller: Caller, resources: Resources, body: ChatCompletionRequest
) -> CompletionInput:
    address = read_address(request, body.user, body.metadata, store=body.store)
    require_user(caller, address)
    limit = body.max_completion_tokens or body.max_tokens
    options = TurnOptions().model_copy(
        update={"model": chosen_model(resources, body.model), "max_tokens": limit, **read_confirmation(body.metadata)}
    )
    sent: Json = body.model_dump(exclude_unset=True, exclude=OURS)
    if metadata := foreign_metadata(body.metadata):
        sent["metadata"] = metadata
    return CompletionInput(sent, options, Door.OPENAI, **dict(address))


def chosen_model(resources: Resources, name: str | None) -> str | None:
    """Clients must name a model. Without a language model, any name is accepted, and the answer says what answered."""
    return name if resources.config.has_model else None
