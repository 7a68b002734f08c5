"""The extraction of facts from a conversation."""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from app.core.ports.language_model import ChatMessage, Role, Usage


@dataclass(frozen=True, slots=True)
class KnownMemory:
    """An existing memory, shown to the extractor so that it does not extract the same fact again."""

    id: UUID
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class ExtractionRequest:
    messages: Sequence[ChatMessage]
    """The new messages, oldest first."""
    sources: Sequence[int] = ()
    """If several conversations are read together, the number of the conversation of each message."""
    recent: Sequence[ChatMessage] = ()
    """Earlier messages, for context only."""
    search_known: Callable[[Sequence[str], int], Awaitable[list[list[KnownMemory]]]] | None = None
    """Takes texts and a limit, and returns the nearest memories of the namespace for each text."""
    user_id: str | None = None
    agent_id: str | None = None
    instructions: str | None = None
    """Instructions of the project or the request on what to remember."""
    has_wishes: bool = False
    """Whether the instructions say more than what to leave out and in which language to write."""
    excludes: str | None = None
    """What to leave out, which is part of the instructions, too."""
    said_at: dt.datetime | None = None
    keep: bool = True


@dataclass(frozen=True, slots=True)
class ExtractedFact:
    text: str
    attributed_to: Role = Role.USER
    metadata: Mapping[str, object] = field(default_factory=dict)
    standing: bool | None = None
    """Whether it applies to every answer. None leaves it to rules."""
    source: int | None = None
    """The conversation that contains the fact. None if there is only one, or if the extractor does not know."""


@dataclass(frozen=True, slots=True)
class Extraction:
    facts: Sequence[ExtractedFact]
    note: str | None = None
    """A sentence for the event, for example that no language model is configured."""
    usage: Usage = field(default_factory=Usage)


class Extractor(Protocol):
    """Extracts facts. Raises ExtractionFailed instead of returning an empty result on failure."""

    name: str

    async def extract(self, request: ExtractionRequest) -> Extraction: ...

    async def close(self) -> None: ...
