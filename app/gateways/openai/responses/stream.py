"""The events of a streamed response."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from app.chat.completions import KEEP_ALIVE, CompletionTurn, Events
from app.chat.progress import TurnEvent
from app.core.completion_messages import chunk_text, first_choice, nested_object, usage_of
from app.core.errors import AppError
from app.core.ports import Json
from app.gateways.openai.render import describe_app_error, own_fields
from app.gateways.openai.responses.render import (
    answer_item,
    call_item,
    finish_response,
    output_items,
    read_calls,
    text_part,
)

SaveCalls = Callable[[list[Json]], Awaitable[None]]


class ResponseStream:
    def __init__(self, turn: CompletionTurn, head: Json, save_calls: SaveCalls) -> None:
        self._turn, self._head, self._save_calls = turn, head, save_calls
        self._sequence = 0
        self._text = ""
        self._calls: dict[str, Json] = {}
        self._usage: Mapping[str, Any] = {}
        self._model, self._reason = "keepsake", ""

    async def render(self, events: Events) -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            yield self._event("response.created", response=self._head)
            yield self._event("response.in_progress", response=self._head)
            async for event in events:
                if isinstance(event, AppError):
                    error = describe_app_error(event)
                    named = {name: error[name] for name in ("message", "code", "param")}
                    yield self._event("error", **named, error=error)
                    return
                if event is KEEP_ALIVE:
                    yield b": keep-alive\n\n"
                    continue
                if event.kind == "message":
                    await self._save_calls(read_calls(list(self._calls.values())))
                for part in self._parts_of(event):
                    yield part

    def _parts_of(self, event: TurnEvent) -> Iterator[bytes]:
        if event.kind == "message":
            yield from self._ending(event.data)
        elif event.kind == "token":
            yield from self._text_parts(str(event.data["text"]))
        elif event.kind == "chunk":
            self._note(event.data)
            yield from self._text_parts(chunk_text(event.data))

    def _note(self, chunk: Json) -> None:
        self._usage = chunk["usage"] if usage_of(chunk) else self._usage
        self._model = chunk.get("model") or self._model
        choice = first_choice(chunk)
        self._reason = str(choice.get("finish_reason") or self._reason)
        given = nested_object(choice, "delta").get("tool_calls")
        for piece in given if isinstance(given, list) else ():
            if isinstance(piece, dict):
                self._note_call(piece)

    def _note_call(self, piece: Json) -> None:
        empty: Json = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        call = self._calls.setdefault(str(piece.get("index", 0)), empty)
        call["id"] = piece.get("id") or call["id"]
        for name, value in nested_object(piece, "function").items():
            if isinstance(value, str):
                call["function"][name] = call["function"].get(name, "") + value

    def _text_parts(self, text: str) -> Iterator[bytes]:
        if not text:
            return
        if not self._text:
            started = answer_item(self._turn.prepared.answer_id, None, status="in_progress")
            yield self._event("response.output_item.added", output_index=0, item=started)
            yield self._event("response.content_part.added", **self._place(), part=text_part(""))
        self._text += text
        yield self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def _place(self) -> dict[str, Any]:
        item = answer_item(self._turn.prepared.answer_id, None)
        return {"item_id": item["id"], "output_index": 0, "content_index": 0}

    def _ending(self, answer: Mapping[str, Any]) -> Iterator[bytes]:
        calls = read_calls(list(self._calls.values()))
        output = output_items(self._turn.prepared.answer_id, self._text, calls)
        if self._text:
            yield self._event("response.output_text.done", **self._place(), text=self._text, logprobs=[])
            yield self._event("response.content_part.done", **self._place(), part=text_part(self._text))
            yield self._event("response.output_item.done", output_index=0, item=output[0])
        for index, call in enumerate(calls, start=len(output) - len(calls)):
            yield from self._call_events(index, call)
        finished = finish_response(self._head, output, self._usage, self._model, self._reason)
        kind = "response.incomplete" if finished["incomplete_details"] else "response.completed"
        yield self._event(kind, response={**finished, "keepsake": own_fields(self._turn, answer)})

    def _call_events(self, index: int, call: Json) -> Iterator[bytes]:
        begun, item = call_item(call, status="in_progress"), call_item(call)
        place = {"item_id": item["id"], "output_index": index}
        yield self._event("response.output_item.added", output_index=index, item=begun)
        yield self._event("response.function_call_arguments.delta", **place, delta=item["arguments"])
        yield self._event(
            "response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"]
        )
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
