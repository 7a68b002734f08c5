"""The changes that the index receives for rows of the ledger."""

import datetime as dt
from collections.abc import Sequence

from app.core.ports import IndexChange, IndexUpsert
from app.memory.ledger import Memory, NewMemory, Remembered
from app.memory.namespace import Namespace


def upserts_for_added(
    namespace: Namespace, new: Sequence[NewMemory], outcomes: Sequence[tuple[Remembered, dt.datetime | None]]
) -> list[IndexChange]:
    """One upsert for each new row, in order; duplicates have no version and change nothing."""
    return [
        upsert_for_new(namespace, memory, version)
        for memory, (_, version) in zip(new, outcomes, strict=True)
        if version is not None
    ]


def upsert_for_new(namespace: Namespace, memory: NewMemory, version: dt.datetime) -> IndexUpsert:
    return IndexUpsert(
        id=memory.id,
        project_id=namespace.project_id,
        namespace=str(namespace),
        content=memory.content,
        context=memory.context,
        created_at=memory.created_at or version,
        version=version,
    )


def upsert_for_row(memory: Memory) -> IndexUpsert:
    return IndexUpsert(
        id=memory.id,
        project_id=memory.project_id,
        namespace=memory.namespace,
        content=memory.content,
        context=memory.context,
        created_at=memory.created_at,
        version=memory.updated_at,
    )
