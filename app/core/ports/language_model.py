"""The language model that answers chats and generates summaries."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

Json = dict[str, Any]
"""A request for a completion, a completion, or a chunk of one, in the form of OpenAI's API."""


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ModelOptions:
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    keep: bool = True
    """False in incognito sessions: asks the provider not to store the request."""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, more: "Usage") -> "Usage":
        return Usage(self.prompt_tokens + more.prompt_tokens, self.completion_tokens + more.completion_tokens)


@dataclass(frozen=True, slots=True)
class Token:
    text: str


class LanguageModel(Protocol):
    """Streams an answer: tokens, then exactly one Usage. Raises the errors of core/errors.py."""

    name: str

    def stream(self, messages: Sequence[ChatMessage], options: ModelOptions) -> AsyncGenerator[Token | Usage, None]: ...

    async def relay(self, body: Mapping[str, Any]) -> Json:
        """Returns the whole completion for a request that a client wrote. Parameters go to the model unchanged, and
        what the model says against them comes back as `RequestRefused`."""
        ...

    def relay_stream(self, body: Mapping[str, Any]) -> AsyncGenerator[Json, None]:
        """The same as chunks. The last ones finish the answer and report the usage."""
        ...

    async def healthy(self) -> bool: ...

    async def close(self) -> None: ...
