"""What waits on its way into the index: a lane for each namespace, in order within it.

Whoever searches a namespace waits for what had been put into its lane by then, and for nothing else: neither for what
comes later, nor for somebody's import, which stands aside meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from app.core.ports import Change

GATHER_SECONDS = 0.02
"""For company, while nobody waits: a batch of one costs as much as a batch of ten, but for the embedding."""
Place: TypeAlias = tuple[UUID, str]
"""A project and a namespace in it."""


@dataclass(slots=True)
class Lane:
    waiting: deque[Change] = field(default_factory=deque)
    put: int = 0
    written: int = 0
    """How many had been put when the last came that a turn of conversation waits for."""
    finished: int = 0
    searched: int = 0
    """How many wait for it now."""


class Backlog:
    def __init__(self) -> None:
        self._lanes: dict[Place, Lane] = {}
        self._moved = asyncio.Condition()
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()
        self._size = 0

    def __len__(self) -> int:
        """Those that nobody has taken yet."""
        return self._size

    def put(self, changes: Sequence[Change], *, said: bool) -> None:
        for change in changes:
            lane = self._lanes.setdefault((change.project_id, change.namespace), Lane())
            lane.waiting.append(change)
            lane.put += 1
            lane.written = lane.written if said else lane.put
        self._size += len(changes)
        if changes:
            self._arrived.set()

    async def shrunk(self, most: int) -> None:
        if self._size > most:
            async with self._moved:
                await self._moved.wait_for(lambda: self._size <= most)

    async def settled(self, project_id: UUID, namespaces: Sequence[str] | None, *, said: bool) -> None:
        """`said` waits for what was said in conversations, too."""
        ahead = [(lane, lane.put if said else lane.written) for lane in self._found(project_id, namespaces)]
        ahead = [(lane, last) for lane, last in ahead if lane.finished < last]
        if not ahead:
            return
        for lane, _ in ahead:
            lane.searched += 1
        self._wanted.set()
        try:
            async with self._moved:
                await self._moved.wait_for(lambda: all(lane.finished >= last for lane, last in ahead))
        finally:
            for lane, _ in ahead:
                lane.searched -= 1

    async def take(self, most: int, patience: float) -> list[Change]:
        """What somebody waits for; or else whatever has waited longest. Nothing, when nothing has come for a while."""
        if not self._size and not await _set_within(patience, self._arrived):
            return []
        searched = self._searched()
        if not searched and self._size < most:
            self._wanted.clear()
            await _set_within(GATHER_SECONDS, self._wanted)
            searched = self._searched()
        taken = list(self._first(searched or list(self._lanes), most))
        self._size -= len(taken)
        if not self._size:
            self._arrived.clear()
        return taken

    async def done(self, batch: Sequence[Change]) -> None:
        for change in batch:
            place = (change.project_id, change.namespace)
            lane = self._lanes[place]
            lane.finished += 1
            if lane.finished == lane.put:
                del self._lanes[place]
        async with self._moved:
            self._moved.notify_all()

    async def empty(self) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: not self._lanes)

    def _searched(self) -> list[Place]:
        return [place for place, lane in self._lanes.items() if lane.searched and lane.waiting]

    def _found(self, project_id: UUID, namespaces: Sequence[str] | None) -> Iterator[Lane]:
        if namespaces is None:
            yield from (lane for (project, _), lane in self._lanes.items() if project == project_id)
        else:
            yield from (lane for name in namespaces if (lane := self._lanes.get((project_id, name))))

    def _first(self, places: Sequence[Place], most: int) -> Iterator[Change]:
        """A lane that has more goes behind the others."""
        for place in places:
            lane = self._lanes[place]
            for _ in range(min(most, len(lane.waiting))):
                most -= 1
                yield lane.waiting.popleft()
            if lane.waiting:
                self._lanes[place] = self._lanes.pop(place)
            if not most:
                return


async def _set_within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
