"""The queue of changes on their way into the index: one queue for each namespace, first in, first out.

Projects take turns, and so do the namespaces of a project. A search waits for the changes that were put for its
namespaces before it started, and for nothing else: neither for later changes nor for the import of another namespace,
which yields to the namespaces that searches wait for.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from app.core.ports import IndexChange
from app.memory.indexing.batch import Batch, BatchLimit, estimate_tokens
from app.memory.namespace import holds_messages

GATHER_SECONDS = 0.02
"""How long a small batch may grow while no search waits: apart from embedding, one change costs as much as ten."""
TURN_TOKENS = 256
"""How much of a batch a project may take before the next project has its turn."""
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
    last_taken: int = 0

    @property
    def is_ready(self) -> bool:
        """Its order is kept by having only one batch at a time."""
        return bool(self.waiting) and self.last_taken == self.last_done


@dataclass(slots=True)
class ProjectLoad:
    """What waits in all namespaces of a project."""

    changes: int = 0
    tokens: int = 0

    def exceeds(self, limit: BatchLimit) -> bool:
        return self.changes > limit.changes or self.tokens > limit.tokens


class ChangeQueue:
    def __init__(self) -> None:
        self._queues: dict[NamespaceKey, NamespaceQueue] = {}
        self._ready: dict[UUID, dict[str, NamespaceQueue]] = {}
        """Projects in the order of their turns, each with the namespaces that the next batch may take from."""
        self._loads: dict[UUID, ProjectLoad] = {}
        self._searched: dict[NamespaceKey, int] = {}
        """How many searches wait for each namespace."""
        self._copies: dict[UUID, int] = {}
        """How many changes of each memory wait or are being indexed."""
        self._size = 0
        self._progress = asyncio.Condition()
        self._change_arrived = asyncio.Event()
        self._search_arrived = asyncio.Event()
        self._searched_changed = asyncio.Event()

    def __len__(self) -> int:
        """The number of changes that no batch has taken yet."""
        return self._size

    def __contains__(self, memory_id: UUID) -> bool:
        """Whether a change of this memory waits or is being indexed."""
        return memory_id in self._copies

    def count_waiting(self, project_id: UUID) -> int:
        return self._loads[project_id].changes if project_id in self._loads else 0

    def put(self, changes: Sequence[IndexChange], *, from_chat: bool) -> None:
        for change in changes:
            key = (change.project_id, change.namespace)
            queue = self._queues.setdefault(key, NamespaceQueue())
            queue.waiting.append(change)
            queue.last_put += 1
            if not from_chat:
                queue.last_put_outside_chat = queue.last_put
            self._copies[change.id] = self._copies.get(change.id, 0) + 1
            self._count(change, 1)
            self._update_ready(key, queue)

    async def wait_for_room(self, project_id: UUID, limit: BatchLimit) -> None:
        """A project that writes faster than its memories are indexed slows down, and no other project does."""
        if self._has_room(project_id, limit):
            return
        async with self._progress:
            await self._progress.wait_for(lambda: self._has_room(project_id, limit))

    async def wait_until_done(
        self, project_id: UUID, namespaces: Sequence[str] | None, *, include_chat: bool, seconds: float | None = None
    ) -> bool:
        """Returns False if that takes longer than `seconds`."""
        queues = self._queues_of(project_id, namespaces)
        targets = {
            key: (queue, queue.last_put if include_chat else queue.last_put_outside_chat) for key, queue in queues
        }
        unfinished = {key: (queue, target) for key, (queue, target) in targets.items() if queue.last_done < target}
        if not unfinished:
            return True
        with self._search_of(list(unfinished)):
            try:
                async with asyncio.timeout(seconds), self._progress:
                    return await self._progress.wait_for(
                        lambda: all(queue.last_done >= target for queue, target in unfinished.values())
                    )
            except TimeoutError:
                return False

    async def take_batch(self, limit: BatchLimit, idle_seconds: float) -> list[IndexChange] | None:
        """The changes that searches wait for, otherwise the oldest. None if nothing arrives within `idle_seconds`, and
        empty if another loop took what arrived."""
        if not self._ready and not await _is_set_within(idle_seconds, self._change_arrived):
            return None
        batch = self._pop(limit, searched=True)
        if not batch and self._size < limit.changes:
            self._search_arrived.clear()
            await _is_set_within(GATHER_SECONDS, self._search_arrived)
            batch = self._pop(limit, searched=True)
        return batch or self._pop(limit)

    async def take_searched_batch(self, limit: BatchLimit) -> list[IndexChange]:
        """Only changes that searches wait for, as soon as there are any."""
        while not (batch := self._pop(limit, searched=True)):
            self._searched_changed.clear()
            await self._searched_changed.wait()
        return batch

    async def mark_done(self, batch: Sequence[IndexChange]) -> None:
        for change in batch:
            self._queues[change.project_id, change.namespace].last_done += 1
            self._copies[change.id] -= 1
            if not self._copies[change.id]:
                del self._copies[change.id]
        for key in {(change.project_id, change.namespace) for change in batch}:
            queue = self._queues[key]
            self._update_ready(key, queue)
            if queue.last_done == queue.last_put:
                del self._queues[key]
        async with self._progress:
            self._progress.notify_all()

    async def wait_until_empty(self) -> None:
        async with self._progress:
            await self._progress.wait_for(lambda: not self._queues)

    @contextmanager
    def _search_of(self, keys: Sequence[NamespaceKey]) -> Iterator[None]:
        """Gives these queues precedence while a search waits for them."""
        for key in keys:
            self._searched[key] = self._searched.get(key, 0) + 1
        self._search_arrived.set()
        self._searched_changed.set()
        try:
            yield
        finally:
            for key in keys:
                self._searched[key] -= 1
                if not self._searched[key]:
                    del self._searched[key]

    def _queues_of(
        self, project_id: UUID, namespaces: Sequence[str] | None
    ) -> Iterator[tuple[NamespaceKey, NamespaceQueue]]:
        if namespaces is None:
            every = self._queues.items()
            yield from ((key, queue) for key, queue in every if key[0] == project_id and not holds_messages(key[1]))
        else:
            keys = [(project_id, name) for name in namespaces]
            yield from ((key, self._queues[key]) for key in keys if key in self._queues)

    def _has_room(self, project_id: UUID, limit: BatchLimit) -> bool:
        return project_id not in self._loads or not self._loads[project_id].exceeds(limit)

    def _count(self, change: IndexChange, sign: int) -> None:
        load = self._loads.setdefault(change.project_id, ProjectLoad())
        load.changes += sign
        load.tokens += sign * estimate_tokens(change)
        self._size += sign
        if not load.changes:
            del self._loads[change.project_id]

    def _update_ready(self, key: NamespaceKey, queue: NamespaceQueue) -> None:
        project_id, name = key
        if queue.is_ready:
            self._ready.setdefault(project_id, {}).setdefault(name, queue)
            self._change_arrived.set()
            if key in self._searched:
                self._searched_changed.set()
        elif name in self._ready.get(project_id, {}):
            del self._ready[project_id][name]
            if not self._ready[project_id]:
                del self._ready[project_id]
        if not self._ready:
            self._change_arrived.clear()

    def _pop(self, limit: BatchLimit, *, searched: bool = False) -> list[IndexChange]:
        """A project whose next change does not fit any more has the first turn of the next batch."""
        batch = Batch(limit)
        turns = deque(self._searched_projects() if searched else self._ready)
        while turns and not batch.is_full:
            project_id = turns.popleft()
            if self._take_turn(project_id, batch, searched=searched):
                turns.append(project_id)
        for key in {(change.project_id, change.namespace) for change in batch.changes}:
            self._update_ready(key, self._queues[key])
        return batch.changes

    def _searched_projects(self) -> list[UUID]:
        """In the order of their turns."""
        waiting = {project_id for project_id, name in self._searched if name in self._ready.get(project_id, {})}
        return [project_id for project_id in self._ready if project_id in waiting] if waiting else []

    def _take_turn(self, project_id: UUID, batch: Batch, *, searched: bool) -> bool:
        """Returns whether anything was taken."""
        namespaces = self._ready[project_id]
        name = self._next_namespace(project_id, searched=searched)
        if name is None:
            return False
        queue, until, before = namespaces[name], batch.tokens + TURN_TOKENS, len(batch.changes)
        while queue.waiting and batch.tokens < until and batch.add(queue.waiting[0]):
            self._count(queue.waiting.popleft(), -1)
            queue.last_taken += 1
        if len(batch.changes) == before:
            return False
        namespaces[name] = namespaces.pop(name)
        self._ready[project_id] = self._ready.pop(project_id)
        return True

    def _next_namespace(self, project_id: UUID, *, searched: bool) -> str | None:
        for name, queue in self._ready[project_id].items():
            if queue.waiting and (not searched or (project_id, name) in self._searched):
                return name
        return None


async def _is_set_within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
