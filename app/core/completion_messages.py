"""Reads messages, completions and their chunks in the form of OpenAI's API and its variants."""

import uuid
from collections.abc import Mapping
from typing import Any

from app.core.ports import Usage


def new_completion_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def message_text(message: Mapping[str, Any]) -> str:
    """The text of a message whose content is a string, or a list of parts of which some are text."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping) and part.get("type") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str))


def chunk_text(chunk: object) -> str:
    return said_text(nested_object(first_choice(chunk), "delta"))


def completion_text(completion: object) -> str:
    return said_text(nested_object(first_choice(completion), "message"))


def said_text(message: Mapping[str, object]) -> str:
    text = message.get("content") or message.get("refusal")
    return text if isinstance(text, str) else ""


def has_content(chunk: object) -> bool:
    """Text, a call of a tool, or what else a model sends besides the role."""
    return any(value for name, value in nested_object(first_choice(chunk), "delta").items() if name != "role")


def is_finished(chunk: object) -> bool:
    return bool(first_choice(chunk).get("finish_reason"))


def usage_of(answer: object) -> Usage | None:
    usage = nested_object(answer, "usage")
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Usage(prompt, completion) if isinstance(prompt, int) and isinstance(completion, int) else None


def first_choice(answer: object) -> Mapping[str, object]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def nested_object(whole: object, name: str) -> Mapping[str, object]:
    part = whole.get(name) if isinstance(whole, Mapping) else None
    return part if isinstance(part, dict) else {}
