"""Responses, conversations and their items."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.core.completion_messages import nested_object
from app.core.errors import NotFound
from app.core.ports import Json
from app.gateways.openai.responses.schemas import ResponseRequest
from app.sessions.models import Message, Session

RESPONSE, CONVERSATION, MESSAGE = "resp", "conv", "msg"
ECHOED = (
    "instructions",
    "max_output_tokens",
    "previous_response_id",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
)


def write_id(kind: str, value: UUID) -> str:
    return f"{kind}_{value.hex}"


def read_id(kind: str, value: str) -> UUID:
    try:
        return UUID(value.removeprefix(f"{kind}_"))
    except ValueError:
        raise NotFound(f"`{value[:80]}` is not an id of this kind. Such ids begin with `{kind}_`.") from None


def response_head(request: ResponseRequest, response_id: UUID, session_id: UUID | None, created_at: float) -> Json:
    """A response that has begun."""
    sent = request.model_dump(exclude_unset=True)
    return {
        "id": write_id(RESPONSE, response_id),
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "model": request.model or "",
        "output": [],
        "error": None,
        "incomplete_details": None,
        "parallel_tool_calls": sent.get("parallel_tool_calls", True),
        "metadata": request.metadata or {},
        "store": request.store is not False,
        "conversation": {"id": write_id(CONVERSATION, session_id)} if session_id else None,
        "usage": None,
        **{"tools": [], "tool_choice": "auto", **{name: sent[name] for name in ECHOED if name in sent}},
    }


def finish_response(
    head: Mapping[str, Any], output: Sequence[Json], usage: Mapping[str, Any], model: str, reason: object
) -> Json:
    incomplete = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(str(reason))
    return {
        **head,
        "status": "incomplete" if incomplete else "completed",
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "model": model,
        "output": list(output),
        "usage": response_usage(usage),
    }


def response_usage(usage: Mapping[str, Any]) -> Json:
    prompt, answer = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + answer,
    }


def text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def answer_item(message_id: UUID, text: str | None, *, status: str = "completed") -> Json:
    """None is a message that has begun."""
    content = [] if text is None else [text_part(text)]
    fields = {"id": write_id(MESSAGE, message_id), "type": "message", "role": "assistant"}
    return {**fields, "status": status, "content": content}


def read_calls(given: object) -> list[Json]:
    """The calls of an answer that are whole: models can send anything."""
    calls = given if isinstance(given, list) else []
    return [each for each in calls if isinstance(each, dict) and _is_whole(each)]


def _is_whole(call: Mapping[str, Any]) -> bool:
    function = nested_object(call, "function")
    return all(isinstance(text, str) for text in (call.get("id"), function.get("name"), function.get("arguments")))


def call_item(call: Mapping[str, Any], *, status: str = "completed") -> Json:
    function = call["function"]
    return {
        "id": f"fc_{call['id']}",
        "type": "function_call",
        "call_id": call["id"],
        "name": function["name"],
        "arguments": function["arguments"] if status == "completed" else "",
        "status": status,
    }


def output_items(message_id: UUID, text: str, calls: Sequence[Mapping[str, Any]]) -> list[Json]:
    answer = [answer_item(message_id, text)] if text or not calls else []
    return [*answer, *(call_item(each) for each in calls)]


def stored_item(message: Message) -> Json:
    if message.role == "assistant":
        return answer_item(message.id, message.content)
    content = [{"type": "input_text", "text": message.content}]
    fields = {"id": write_id(MESSAGE, message.id), "type": "message", "role": message.role}
    return {**fields, "status": "completed", "content": content}


def item_list(items: Sequence[Json], *, has_more: bool = False) -> Json:
    first, last = (items[0]["id"], items[-1]["id"]) if items else ("", "")
    return {"object": "list", "data": list(items), "first_id": first, "last_id": last, "has_more": has_more}


def render_conversation(session: Session) -> Json:
    metadata = {
        "user_id": session.user_id,
        "profile_id": str(session.profile_id),
        "privacy_mode": session.privacy_mode,
        **({"title": session.title} if session.title else {}),
    }
    created = int(session.created_at.timestamp())
    return {
        "id": write_id(CONVERSATION, session.id),
        "object": "conversation",
        "created_at": created,
        "metadata": metadata,
    }
