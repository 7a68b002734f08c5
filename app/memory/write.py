"""What was written, and what the index is to hear of it once it is committed."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.core.ports import Change, ToIndex
from app.memory.namespace import Namespace
from app.memory.new import NewMemory, Outcome, Remembered


@dataclass(frozen=True, slots=True)
class Added:
    event_id: UUID
    results: Sequence[Remembered]


def changes_of(
    namespace: Namespace, new: Sequence[NewMemory], found: Sequence[tuple[Remembered, dt.datetime | None]]
) -> list[Change]:
    """Of those that were added, in order."""
    return [
        to_index(namespace, memory, version)
        for memory, (_, version) in zip(new, found, strict=True)
        if version is not None
    ]


def as_result(result: Remembered) -> dict[str, object]:
    return {"id": str(result.id), "event": "ADD" if result.outcome is Outcome.ADDED else "NONE"}


def to_index(namespace: Namespace, memory: NewMemory, version: dt.datetime) -> ToIndex:
    said_at = memory.created_at or version
    return ToIndex(memory.id, namespace.project_id, str(namespace), memory.content, memory.context, said_at, version)
