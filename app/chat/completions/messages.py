"""The messages of a request for a completion: what the user asks, what fits, and where the memories go."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.chat.prompt import estimate_tokens
from app.core.completion_messages import message_text
from app.core.ports import Json

INSTRUCTING_ROLES = ("system", "developer")
PART_TOKENS = 800
"""An estimate for an image or another part without text."""
Messages = Sequence[Json]


@dataclass(frozen=True, slots=True)
class ReadMessages:
    """The messages of a client in the parts that are treated differently."""

    instructions: Messages
    history: Messages
    latest: Messages
    """The last message of the user and what follows it: calls of tools and their results."""

    @classmethod
    def of(cls, messages: Messages) -> "ReadMessages":
        instructions = [each for each in messages if each["role"] in INSTRUCTING_ROLES]
        others = [each for each in messages if each["role"] not in INSTRUCTING_ROLES]
        users = [place for place, each in enumerate(others) if each["role"] == "user"]
        start = users[-1] if users else 0
        return cls(instructions, others[:start], others[start:])

    @property
    def question(self) -> str:
        """What memories are recalled for."""
        return message_text(self.latest[0]) if self.latest and self.latest[0]["role"] == "user" else ""

    @property
    def is_new(self) -> bool:
        """Whether the user sent something. Otherwise a tool has answered, and the message was remembered before."""
        return bool(self.latest) and self.latest[-1]["role"] == "user"

    @property
    def texts(self) -> set[str]:
        return {message_text(each) for each in (*self.history, *self.latest)}


def message_tokens(messages: Iterable[Mapping[str, Any]]) -> int:
    return sum(_tokens_of(each) for each in messages)


def _tokens_of(message: Mapping[str, Any]) -> int:
    content, calls = message.get("content"), message.get("tool_calls")
    others = sum(part.get("type") != "text" for part in content) if isinstance(content, list) else 0
    called = estimate_tokens(json.dumps(calls)) if calls else 0
    return estimate_tokens(message_text(message)) + others * PART_TOKENS + called


def latest_exchanges(history: Messages, budget: int) -> list[Json]:
    """The newest part of the history that fits. An answer stays with its question, and the result of a tool with the
    call."""
    kept: list[Json] = []
    for exchange in reversed(list(_exchanges(history))):
        budget -= message_tokens(exchange)
        if budget < 0:
            break
        kept = [*exchange, *kept]
    return kept


def _exchanges(history: Messages) -> Iterator[list[Json]]:
    exchange: list[Json] = []
    for message in history:
        if message["role"] == "user" and exchange:
            yield exchange
            exchange = []
        exchange.append(message)
    if exchange:
        yield exchange


def add_instructions(instructions: Messages, text: str) -> list[Json]:
    """After the first instructions of the client, because many models read one system message only."""
    if not text:
        return list(instructions)
    if not instructions:
        return [{"role": "system", "content": text}]
    first, content = instructions[0], instructions[0].get("content")
    if isinstance(content, list):
        extended: object = [*content, {"type": "text", "text": text}]
    else:
        extended = f"{content}\n\n{text}" if content else text
    return [{**first, "content": extended}, *instructions[1:]]
