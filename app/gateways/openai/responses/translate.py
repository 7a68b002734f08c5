"""Requests for responses as requests for completions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.core.completion_messages import message_text
from app.core.errors import BadRequest
from app.core.ports import Json
from app.core.storable_text import no_nul
from app.gateways.openai.responses.schemas import ResponseRequest

TEXT_PARTS = ("input_text", "output_text", "text", "refusal")
ROLES = ("user", "assistant", "system", "developer")
READ_HERE = {
    *("input", "model", "instructions", "previous_response_id", "conversation", "stream", "store", "metadata", "user"),
    *("max_output_tokens", "tools", "tool_choice", "text", "reasoning", "background", "include", "truncation"),
    *("stream_options", "max_tokens", "max_completion_tokens", "n"),
}


def build_body(request: ResponseRequest, messages: Sequence[Json]) -> Json:
    """What a completion has another name for is translated; what it does not know goes to the model as it is."""
    body: Json = request.model_dump(exclude_unset=True, exclude=READ_HERE)
    instructions = [{"role": "system", "content": request.instructions}] if request.instructions else []
    body["messages"] = [*instructions, *messages]
    if request.stream:
        body["stream"] = True
    if request.tools:
        body["tools"] = [_tool(each) for each in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
    if layout := _response_format((request.text or {}).get("format")):
        body["response_format"] = layout
    if effort := (request.reasoning or {}).get("effort"):
        body["reasoning_effort"] = effort
    return body


def read_input(given: str | Sequence[Mapping[str, Any]]) -> list[Json]:
    if isinstance(given, str):
        messages: list[Json] = [{"role": "user", "content": given}]
    else:
        messages = list(_join_calls(message for each in given for message in _messages_of(each)))
    if not messages:
        raise BadRequest("`input` must contain a message, or the output of a call.", code="invalid_request")
    for message in messages:
        try:
            no_nul(message_text(message))
        except ValueError as error:
            raise BadRequest(f"`input` {error}.", code="invalid_request") from None
    return messages


def _messages_of(item: Mapping[str, Any]) -> Iterator[Json]:
    kind = item.get("type") or "message"
    if kind == "message" and item.get("role") in ROLES:
        yield {"role": item["role"], "content": _content(item.get("content"))}
    elif kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        yield {"role": "assistant", "content": None, "tool_calls": [call]}
    elif kind == "function_call_output":
        yield {"role": "tool", "tool_call_id": item.get("call_id"), "content": _content(item.get("output"))}
    elif kind != "reasoning":
        raise BadRequest(
            "`input` has an item that this server does not know. Send messages with a `role`, `function_call` or"
            " `function_call_output`.",
            code="invalid_request",
        )


def _content(content: object) -> str | list[Json]:
    """A text, unless there are images."""
    if isinstance(content, str):
        return content
    parts = [_part(each) for each in content if isinstance(each, Mapping)] if isinstance(content, list) else []
    if all(part["type"] == "text" for part in parts):
        return "\n".join(str(part["text"]) for part in parts)
    return parts


def _part(part: Mapping[str, Any]) -> Json:
    if part.get("type") in TEXT_PARTS:
        return {"type": "text", "text": str(part.get("text") or part.get("refusal") or "")}
    if part.get("type") == "input_image" and isinstance(part.get("image_url"), str):
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part.get("detail") or "auto"}}
    raise BadRequest(
        "`input` has content of a type that this server does not know. Send texts, or images with an `image_url`.",
        code="invalid_request",
    )


def _join_calls(messages: Iterator[Json]) -> Iterator[Json]:
    """Calls of one answer are one message."""
    held: Json | None = None
    for message in messages:
        if held is not None and message.get("tool_calls"):
            held["tool_calls"] += message["tool_calls"]
            continue
        if held is not None:
            yield held
        held = message if message.get("tool_calls") else None
        if held is None:
            yield message
    if held is not None:
        yield held


def _tool(tool: Mapping[str, Any]) -> Json:
    if tool.get("type") != "function":
        raise BadRequest(
            "`tools` can only have functions: this server has no tools of its own.", code="invalid_request"
        )
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _tool_choice(choice: str | Mapping[str, Any]) -> object:
    named = isinstance(choice, Mapping) and choice.get("type") == "function"
    return {"type": "function", "function": {"name": choice.get("name")}} if named else choice  # type: ignore[union-attr]


def _response_format(layout: object) -> Json | None:
    if not isinstance(layout, Mapping) or layout.get("type") == "text":
        return None
    if layout.get("type") == "json_schema":
        schema = {name: value for name, value in layout.items() if name != "type"}
        return {"type": "json_schema", "json_schema": schema}
    return dict(layout)
