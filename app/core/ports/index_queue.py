"""The way of committed changes from the ledger to the index."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class IndexUpsert:
    """One committed version of a memory."""

    id: UUID
    project_id: UUID
    namespace: str
    content: str
    context: str | None
    created_at: dt.datetime
    version: dt.datetime
    judged_with: frozenset[UUID] = frozenset()
    """The memories that a language model has compared with this one, so that the rules do not."""


@dataclass(frozen=True, slots=True)
class IndexRemoval:
    id: UUID
    project_id: UUID
    namespace: str


IndexChange = IndexUpsert | IndexRemoval


class IndexQueue(Protocol):
    """Takes committed changes from the ledger to the index."""

    async def put(self, changes: Sequence[IndexChange], *, from_chat: bool = False) -> None:
        """`from_chat`: the changes come from a chat turn, whose words the next turn has in its window anyway."""
        ...

    async def wait_until_indexed(
        self,
        project_id: UUID,
        namespaces: Sequence[str] | None,
        *,
        include_chat: bool = True,
        seconds: float | None = None,
    ) -> bool:
        """Return True once every change that was acknowledged for these namespaces before this call, at this process or
        another one, is in the index, and False if that takes longer than `seconds`."""
        ...

    def count_waiting(self, project_id: UUID) -> int: ...

    def __contains__(self, memory_id: UUID) -> bool:
        """Whether a change of this memory is on its way through this queue."""
        ...
