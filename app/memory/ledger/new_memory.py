"""What is to be remembered, before it is a row."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from app.core.ports import Role


class Kind(StrEnum):
    FACT = "fact"
    EPISODE = "episode"


@dataclass(frozen=True, slots=True)
class NewMemory:
    content: str
    kind: Kind = Kind.FACT
    role: Role = Role.USER
    context: str | None = None
    """The turn before, for an episode: indexed with it, never shown as part of it."""
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    categories: tuple[str, ...] | None = None
    importance: float | None = None
    immutable: bool = False
    expires_on: dt.date | None = None
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    source_message_id: UUID | None = None
    input: tuple[Mapping[str, str], ...] = ()
    """The messages it came from, kept in its history."""
    id: UUID = field(default_factory=uuid.uuid4)


class Outcome(StrEnum):
    ADDED = "ADD"
    DUPLICATE = "DUPLICATE"


@dataclass(frozen=True, slots=True)
class Remembered:
    id: UUID
    outcome: Outcome
    content: str
    """For a duplicate, the id and the words of the memory that was there already."""


def content_hash(content: str, agent_id: str | None, app_id: str | None, run_id: str | None) -> bytes:
    """The same words said by the same agent, in the same app and run, are the same memory."""
    scope = "\x1f".join(part or "" for part in (agent_id, app_id, run_id))
    return hashlib.sha256(f"{scope}\x1e{' '.join(content.split())}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Added:
    event_id: UUID
    results: Sequence[Remembered]


def as_result(result: Remembered) -> dict[str, object]:
    return {"id": str(result.id), "event": "ADD" if result.outcome is Outcome.ADDED else "NONE"}
