"""/v1/responses: OpenAI's responses over sessions. The id of a response is that of its answer."""

import time
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.completions import (
    CompletionInput,
    CompletionTurn,
    EventStream,
    begin_stream,
    collect_events,
    prepare_completion,
)
from app.chat.schemas import TurnOptions
from app.core.completion_messages import completion_text, first_choice, nested_object
from app.core.errors import BadRequest, NotFound
from app.core.ports import Json
from app.core.resources import Resources, ResourcesDep
from app.gateways.openai.address import foreign_metadata, read_address, read_confirmation, require_user
from app.gateways.openai.completion_routes import chosen_model
from app.gateways.openai.render import json_response, own_fields
from app.gateways.openai.responses.render import (
    CONVERSATION,
    RESPONSE,
    finish_response,
    item_list,
    output_items,
    read_calls,
    read_id,
    response_head,
    stored_item,
    write_id,
)
from app.gateways.openai.responses.schemas import ResponseRequest
from app.gateways.openai.responses.stream import ResponseStream
from app.gateways.openai.responses.translate import build_body, read_input
from app.identity.caller import Caller, SessionReader, SessionWriter
from app.identity.transaction import Transaction, caller_transaction
from app.memory.ledger import Door
from app.sessions.models import Message
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository
from app.sessions.window import window_store

router = APIRouter(prefix="/v1/responses", tags=["OpenAI"])


@router.post("")
async def create_response(
    body: ResponseRequest, request: Request, caller: SessionWriter, resources: ResourcesDep
) -> Response:
    """Answers as OpenAI's responses do, with the memories of the user.

    The conversation is a session: that of `previous_response_id` or `conversation`, or a new one. `store: false` is
    incognito."""
    turn = await prepare_completion(resources, caller, await read_request(request, caller, resources, body))
    session_id = turn.prepared.session_id if turn.prepared.in_session else None
    head = response_head(body, turn.prepared.answer_id, session_id, time.time())
    save_calls = partial(keep_calls, resources, turn)
    if not body.stream:
        return json_response(await whole_response(request, turn, head))
    events = await begin_stream(request, turn)
    return EventStream(ResponseStream(turn, head, save_calls).render(events), headers={"X-Accel-Buffering": "no"})


async def whole_response(request: Request, turn: CompletionTurn, head: Json) -> Json:
    events = await collect_events(request, turn)
    answer: dict[str, Any] = dict(events.get("completion") or {"model": "keepsake"})
    text = completion_text(answer) if "completion" in events else str(events["token"]["text"])
    given = nested_object(first_choice(answer), "message").get("tool_calls")
    calls = read_calls(given)
    await keep_calls(turn.resources, turn, calls)
    output = output_items(turn.prepared.answer_id, text, calls)
    reason = first_choice(answer).get("finish_reason")
    model = str(answer.get("model") or "")
    finished = finish_response(head, output, nested_object(answer, "usage"), model, reason)
    return {**finished, "keepsake": own_fields(turn, events["message"])}


async def keep_calls(resources: Resources, turn: CompletionTurn, calls: list[Json]) -> None:
    """So that a client that continues a session need not send the calls again with their outputs."""
    prepared = turn.prepared
    if calls and prepared.in_session and prepared.policy.keeps_transcript:
        await window_store(resources, prepared.namespace.project_id).save_calls(prepared.session_id, calls)


async def read_request(
    request: Request, caller: Caller, resources: Resources, body: ResponseRequest
) -> CompletionInput:
    if body.background:
        raise BadRequest("`background` is not supported. Leave it out, and read the response as it comes.")
    address = read_address(request, body.user, body.metadata, store=body.store)
    if (named := await named_session(caller, resources, body)) is not None:
        address = address.model_copy(update={"session_id": named})
    require_user(caller, address)
    incognito = address.privacy_mode is PrivacyMode.INCOGNITO
    messages = read_input(body.input)
    if address.session_id is not None and messages[0]["role"] == "tool":
        calls = await window_store(resources, caller.project_id).load_calls(address.session_id)
        messages = [{"role": "assistant", "content": None, "tool_calls": calls}, *messages] if calls else messages
    changes = {"model": chosen_model(resources, body.model), "max_tokens": body.max_output_tokens}
    options = TurnOptions().model_copy(update={**changes, **read_confirmation(body.metadata)})
    sent = build_body(body, messages)
    if (metadata := foreign_metadata(body.metadata)) and not incognito:
        sent["metadata"] = metadata
    return CompletionInput(sent, options, Door.OPENAI, opens_session=not incognito, **dict(address))


async def named_session(caller: Caller, resources: Resources, body: ResponseRequest) -> UUID | None:
    if body.conversation is not None and body.previous_response_id is not None:
        raise BadRequest("Send `conversation` or `previous_response_id`, not both.")
    if body.conversation is not None:
        return read_conversation(body.conversation)
    if body.previous_response_id is None:
        return None
    async with caller_transaction(resources.database, caller) as tx:
        answer = await find_answer(tx, caller, body.previous_response_id)
        later = await MessageRepository(tx, caller.project_id).count_after(answer.session_id, answer.position)
    if later:
        raise BadRequest(
            "`previous_response_id` is not the latest response of its conversation. Continue after that one. To branch"
            " off earlier, send the messages up to there as `input`, without `previous_response_id`."
        )
    return answer.session_id


def read_conversation(given: str | dict[str, Any]) -> UUID:
    named = given.get("id") if isinstance(given, dict) else given
    if not isinstance(named, str):
        raise BadRequest("`conversation` must be an id, or an object with an `id`. Leave it out for a new one.")
    return read_id(CONVERSATION, named)


async def find_answer(tx: AsyncSession, caller: Caller, response_id: str) -> Message:
    message = await MessageRepository(tx, caller.project_id, caller.user_id).find(read_id(RESPONSE, response_id))
    if message is None or message.role != "assistant":
        raise NotFound(f"There is no response {response_id[:80]}. Responses with `store: false` are not kept.")
    return message


async def find_question(tx: AsyncSession, caller: Caller, answer: Message) -> Message | None:
    """The message before the answer, if it is one of the user."""
    messages = MessageRepository(tx, caller.project_id, caller.user_id)
    before = messages.rows.where(Message.session_id == answer.session_id, Message.position < answer.position)
    last: Message | None = await tx.scalar(before.order_by(Message.position.desc()).limit(1))
    return last if last is not None and last.role == "user" else None


@router.get("/{response_id}")
async def get_response(response_id: str, caller: SessionReader, tx: Transaction) -> dict[str, Any]:
    """Returns a response as it is stored: its text, without the calls of tools."""
    answer = await find_answer(tx, caller, response_id)
    head = response_head(ResponseRequest(input=""), answer.id, answer.session_id, answer.created_at.timestamp())
    usage = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
    return finish_response(head, output_items(answer.id, answer.content, []), usage, "", None)


@router.get("/{response_id}/input_items")
async def list_input_items(response_id: str, caller: SessionReader, tx: Transaction) -> dict[str, Any]:
    """Returns the message that was answered."""
    question = await find_question(tx, caller, await find_answer(tx, caller, response_id))
    return item_list([stored_item(question)] if question else [])


@router.delete("/{response_id}")
async def delete_response(response_id: str, caller: SessionWriter, resources: ResourcesDep) -> dict[str, Any]:
    """Deletes the answer and the message that was answered. Memories made from them stay."""
    async with caller_transaction(resources.database, caller) as tx:
        answer = await find_answer(tx, caller, response_id)
        question = await find_question(tx, caller, answer)
        for message in (answer, question):
            if message is not None:
                await tx.delete(message)
    await window_store(resources, caller.project_id).delete(answer.session_id)
    return {"id": write_id(RESPONSE, answer.id), "object": "response", "deleted": True}
