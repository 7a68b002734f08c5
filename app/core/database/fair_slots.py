"""Shares a fixed number of slots among projects, so that what one project occupies leaves slots for the others."""

import asyncio
from collections import Counter

from app.core.fair_queue import FairQueue, Tenant

Turn = asyncio.Future[None]


class SlotsBusyError(Exception):
    """`own_share`: the project that asked occupies its own share. Otherwise, all slots are occupied."""

    def __init__(self, *, own_share: bool) -> None:
        super().__init__("no slot became free in time")
        self.own_share = own_share


class FairSlots:
    """A project may take a slot while it holds fewer than are free: alone it gets half of them, and as others take
    some, its share shrinks, so that there is nearly always a slot for one more. Projects that wait take turns.

    None stands for short work that belongs to no project. It has no share and goes first.
    """

    def __init__(self, total: int, *, wait_seconds: float) -> None:
        self._free = total
        self._wait_seconds = wait_seconds
        self._held: Counter[Tenant] = Counter()
        self._waiting: FairQueue[Turn] = FairQueue()

    async def acquire(self, key: Tenant) -> None:
        if self._may_take(key):
            self._take(key)
        else:
            await self._wait(key)

    def release(self, key: Tenant) -> None:
        self._free += 1
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
        if self._waiting:
            self._grant()

    def _may_take(self, key: Tenant) -> bool:
        return self._free > (self._held[key] if key else 0)

    def _take(self, key: Tenant) -> None:
        self._free -= 1
        self._held[key] += 1

    async def _wait(self, key: Tenant) -> None:
        turn: Turn = asyncio.get_running_loop().create_future()
        self._waiting.put(key, turn)
        has_slot = False
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
                has_slot = True
        except TimeoutError:
            raise SlotsBusyError(own_share=self._free > 0) from None
        finally:
            if not has_slot and not turn.cancelled():  # it was granted at the moment of the cancellation
                self.release(key)

    def _grant(self) -> None:
        """Grant free slots to those who wait: first work without a project, then one for each project in turn.

        Those who stopped waiting are passed over."""
        while next_keys := [key for key in self._waiting if self._may_take(key)]:
            key = None if None in next_keys else next_keys[0]
            turn = self._waiting.pop_from(key)
            if not turn.done():
                self._take(key)
                turn.set_result(None)
