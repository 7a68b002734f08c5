"""The answers of the offline model in the form of OpenAI's API. The fingerprint says that no model was asked."""

import time
from collections.abc import Mapping
from typing import Any

from app.core.completion_messages import message_text, new_completion_id
from app.core.ports import ChatMessage, Json, Role, Token, Usage

FINGERPRINT = "keepsake_offline"
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def read_texts(body: Mapping[str, Any]) -> list[ChatMessage]:
    """The offline model reads the system message only."""
    system = [each for each in body["messages"] if each.get("role") in ("system", "developer")]
    return [ChatMessage(Role.SYSTEM, message_text(each)) for each in system]


def offline_completion(answer: str) -> Json:
    message = {"role": "assistant", "content": answer, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {**_head("chat.completion", new_completion_id()), "choices": [choice], "usage": NO_USAGE}


def offline_chunk(piece: Token | Usage, completion_id: str) -> Json:
    """The usage comes last, and ends the answer."""
    is_token = isinstance(piece, Token)
    delta = {"role": "assistant", "content": piece.text} if isinstance(piece, Token) else {}
    choice = {"index": 0, "delta": delta, "finish_reason": None if is_token else "stop"}
    usage = {} if is_token else {"usage": NO_USAGE}
    return {**_head("chat.completion.chunk", completion_id), "choices": [choice], **usage}


def _head(kind: str, completion_id: str) -> Json:
    fields = {"id": completion_id, "object": kind, "created": int(time.time())}
    return {**fields, "model": "offline", "system_fingerprint": FINGERPRINT}
