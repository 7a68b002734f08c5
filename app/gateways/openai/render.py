"""Writes turns as completions and chunks: what the model sent, and what this server knows besides."""

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from fastapi.responses import Response

from app.chat.completions import KEEP_ALIVE, CompletionTurn, Events
from app.chat.progress import TurnEvent
from app.core.completion_messages import is_finished, new_completion_id, usage_of
from app.core.errors import AppError
from app.core.observability.logging import request_id
from app.core.ports import Json
from app.gateways.openai.errors import openai_error

OWN_MODEL = "keepsake"
"""What answers requests to forget, and asks no language model."""
DONE = b"data: [DONE]\n\n"
SHOWN = (
    "privacy_mode",
    "recalled",
    "recall_failed",
    "by_meaning",
    "answerable",
    "standing",
    "event_id",
    "will_remember",
)
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def own_fields(turn: CompletionTurn, answer: Mapping[str, Any]) -> Json:
    shown = {name: answer[name] for name in (*SHOWN, "forget", "forgotten")}
    session_id = answer["session_id"] if turn.prepared.in_session else None
    return {"session_id": session_id, **shown, "omitted_messages": turn.omitted_messages}


def json_response(value: Json, headers: Mapping[str, str] | None = None) -> Response:
    """In ASCII, because the text of a model can have half of a surrogate pair."""
    return Response(json.dumps(value), headers=dict(headers or {}), media_type="application/json")


def render_completion(turn: CompletionTurn, events: Mapping[str, Mapping[str, Any]]) -> Json:
    answer = dict(events["completion"]) if "completion" in events else own_completion(events["token"]["text"])
    return {**answer, "keepsake": own_fields(turn, events["message"])}


def own_completion(text: str) -> Json:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {**_head("chat.completion", new_completion_id()), "choices": [choice], "usage": NO_USAGE}


def own_chunk(text: str | None, completion_id: str) -> Json:
    """None ends the answer."""
    delta = {} if text is None else {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop" if text is None else None}
    return {**_head("chat.completion.chunk", completion_id), "choices": [choice]}


def _head(kind: str, completion_id: str) -> Json:
    return {"id": completion_id, "object": kind, "created": int(time.time()), "model": OWN_MODEL}


class ChunkStream:
    """The chunks of one answer. From the end of the answer on they wait until the turn is recorded, so that the last
    ones can say what became of it."""

    def __init__(self, turn: CompletionTurn, *, include_usage: bool) -> None:
        self._turn = turn
        self._include_usage = include_usage
        self._completion_id = new_completion_id()
        self._waiting: list[Json] = []
        self._usage: Json | None = None

    async def render(self, events: Events) -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, AppError):
                    yield _data({"error": describe_app_error(event)})
                    return
                for part in [b": keep-alive\n\n"] if event is KEEP_ALIVE else map(_data, self._chunks_of(event)):
                    yield part
        yield DONE

    def _chunks_of(self, event: TurnEvent) -> list[Json]:
        if event.kind == "chunk":
            return self._take(event.data)
        if event.kind == "token":
            self._waiting.append(own_chunk(None, self._completion_id))
            return [own_chunk(str(event.data["text"]), self._completion_id)]
        return self._rest(event.data) if event.kind == "message" else []

    def _take(self, chunk: Json) -> list[Json]:
        """The chunk, if it can be sent at once. Usage is reported once, at the end, to clients that ask for it."""
        self._usage = chunk["usage"] if usage_of(chunk) else self._usage
        self._completion_id = chunk.get("id") or self._completion_id
        shown = {name: value for name, value in chunk.items() if name != "usage"}
        if "usage" in chunk and not chunk.get("choices"):
            return []
        if self._waiting or is_finished(chunk):
            self._waiting.append(shown)
            return []
        return [shown]

    def _rest(self, answer: Mapping[str, Any]) -> list[Json]:
        waiting = self._waiting or [own_chunk(None, self._completion_id)]
        rest = [{**waiting[0], "keepsake": own_fields(self._turn, answer)}, *waiting[1:]]
        if self._include_usage:
            head = {name: value for name, value in waiting[0].items() if name != "choices"}
            rest.append({**head, "choices": [], "usage": self._usage or NO_USAGE})
        return rest


def describe_app_error(error: AppError) -> Json:
    body = {"detail": error.detail, "code": error.reason, "request_id": request_id.get(), **error.fields}
    described: Json = openai_error(error.status, body)[1]["error"]
    return described


def _data(value: Json) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
