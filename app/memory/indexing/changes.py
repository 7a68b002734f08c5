"""What was written, and what the index is to hear of it once it is committed."""

import datetime as dt
from collections.abc import Sequence

from app.core.ports import Change, ToIndex
from app.memory.ledger.models import Memory
from app.memory.ledger.new_memory import NewMemory, Remembered
from app.memory.namespace import Namespace


def changes_of(
    namespace: Namespace, new: Sequence[NewMemory], found: Sequence[tuple[Remembered, dt.datetime | None]]
) -> list[Change]:
    """Of those that were added, in order."""
    return [
        to_index(namespace, memory, version)
        for memory, (_, version) in zip(new, found, strict=True)
        if version is not None
    ]


def to_index(namespace: Namespace, memory: NewMemory, version: dt.datetime) -> ToIndex:
    said_at = memory.created_at or version
    return ToIndex(memory.id, namespace.project_id, str(namespace), memory.content, memory.context, said_at, version)


def as_change(memory: Memory) -> ToIndex:
    return ToIndex(
        memory.id,
        memory.project_id,
        memory.namespace,
        memory.content,
        memory.context,
        memory.created_at,
        memory.updated_at,
    )
