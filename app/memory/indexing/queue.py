"""The queue of changes on their way into the index: one queue for each namespace, first in, first out.

A search waits for the changes that were put for its namespaces before it started, and for nothing else: neither for
later changes nor for the import of another namespace, which yields to the namespaces that searches wait for.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from app.core.ports import IndexChange

GATHER_SECONDS = 0.02
"""How long a small batch may grow while no search waits: apart from embedding, one change costs as much as ten."""
NamespaceKey: TypeAlias = tuple[UUID, str]
"""A project and a namespace in it."""


@dataclass(slots=True)
class NamespaceQueue:
    """Changes are numbered from 1 in the order in which they are put, and are done in that order."""

    waiting: deque[IndexChange] = field(default_factory=deque)
    last_put: int = 0
    last_put_outside_chat: int = 0
    """Chat turns wait for this one: they have the words of earlier turns in their window."""
    last_done: int = 0
    search_count: int = 0
    """How many searches wait for this namespace."""


class ChangeQueue:
    def __init__(self) -> None:
        self._queues: dict[NamespaceKey, NamespaceQueue] = {}
        self._progress = asyncio.Condition()
        self._change_arrived = asyncio.Event()
        self._search_arrived = asyncio.Event()
        self._size = 0

    def __len__(self) -> int:
        """The number of changes that no batch has taken yet."""
        return self._size

    def put(self, changes: Sequence[IndexChange], *, from_chat: bool) -> None:
        for change in changes:
            queue = self._queues.setdefault((change.project_id, change.namespace), NamespaceQueue())
            queue.waiting.append(change)
            queue.last_put += 1
            if not from_chat:
                queue.last_put_outside_chat = queue.last_put
        self._size += len(changes)
        if changes:
            self._change_arrived.set()

    async def wait_for_room(self, limit: int) -> None:
        if self._size > limit:
            async with self._progress:
                await self._progress.wait_for(lambda: self._size <= limit)

    async def wait_until_done(self, project_id: UUID, namespaces: Sequence[str] | None, *, include_chat: bool) -> None:
        queues = self._queues_of(project_id, namespaces)
        targets = [(queue, queue.last_put if include_chat else queue.last_put_outside_chat) for queue in queues]
        unfinished = [(queue, target) for queue, target in targets if queue.last_done < target]
        if not unfinished:
            return
        with self._search_of([queue for queue, _ in unfinished]):
            async with self._progress:
                await self._progress.wait_for(lambda: all(queue.last_done >= target for queue, target in unfinished))

    async def take_batch(self, limit: int, idle_seconds: float) -> list[IndexChange]:
        """The changes that searches wait for, otherwise the oldest. Empty if nothing arrives within `idle_seconds`."""
        if not self._size and not await _is_set_within(idle_seconds, self._change_arrived):
            return []
        keys = self._searched_keys()
        if not keys and self._size < limit:
            self._search_arrived.clear()
            await _is_set_within(GATHER_SECONDS, self._search_arrived)
            keys = self._searched_keys()
        batch = self._pop(keys or list(self._queues), limit)
        self._size -= len(batch)
        if not self._size:
            self._change_arrived.clear()
        return batch

    async def mark_done(self, batch: Sequence[IndexChange]) -> None:
        for change in batch:
            key = (change.project_id, change.namespace)
            queue = self._queues[key]
            queue.last_done += 1
            if queue.last_done == queue.last_put:
                del self._queues[key]
        async with self._progress:
            self._progress.notify_all()

    async def wait_until_empty(self) -> None:
        async with self._progress:
            await self._progress.wait_for(lambda: not self._queues)

    @contextmanager
    def _search_of(self, queues: Sequence[NamespaceQueue]) -> Iterator[None]:
        """Gives these queues precedence while a search waits for them."""
        for queue in queues:
            queue.search_count += 1
        self._search_arrived.set()
        try:
            yield
        finally:
            for queue in queues:
                queue.search_count -= 1

    def _searched_keys(self) -> list[NamespaceKey]:
        return [key for key, queue in self._queues.items() if queue.search_count and queue.waiting]

    def _queues_of(self, project_id: UUID, namespaces: Sequence[str] | None) -> Iterator[NamespaceQueue]:
        if namespaces is None:
            yield from (queue for (project, _), queue in self._queues.items() if project == project_id)
        else:
            yield from (queue for name in namespaces if (queue := self._queues.get((project_id, name))))

    def _pop(self, keys: Sequence[NamespaceKey], limit: int) -> list[IndexChange]:
        """The namespaces take turns: one with changes left goes behind the others."""
        batch: list[IndexChange] = []
        for key in keys:
            queue = self._queues[key]
            while queue.waiting and len(batch) < limit:
                batch.append(queue.waiting.popleft())
            if queue.waiting:
                self._queues[key] = self._queues.pop(key)
            if len(batch) == limit:
                break
        return batch


async def _is_set_within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
