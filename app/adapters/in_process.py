"""Short-term memory and counters inside the process: the default."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from app.core.ports import CountedWindow

MAX_VALUES = 100_000


class InProcessShortTerm:
    """Values with a time to live. When there are too many, the least recently used ones are removed."""

    def __init__(self, *, max_values: int = MAX_VALUES, clock: Callable[[], float] = time.monotonic) -> None:
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._max_values = max_values
        self._clock = clock

    async def get(self, key: str) -> bytes | None:
        found = self._values.get(key)
        if found is None:
            return None
        if found[0] <= self._clock():
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return found[1]

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        self._values[key] = (self._clock() + ttl_seconds, value)
        self._values.move_to_end(key)
        while len(self._values) > self._max_values:
            self._values.popitem(last=False)
        self._remove_expired(8)

    async def delete(self, *keys: str) -> int:
        return sum(self._values.pop(key, None) is not None for key in keys)

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None:
        self._values.clear()

    def _remove_expired(self, count: int) -> None:
        """Checks a few of the oldest values with each write, so that no single write has to check all of them."""
        now = self._clock()
        for key in [key for key, _ in zip(self._values, range(count), strict=False)]:
            if self._values[key][0] <= now:
                del self._values[key]


class InProcessCounters:
    """One dictionary per window length, replaced when its window ends."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._windows: dict[int, tuple[int, dict[str, int]]] = {}
        self._clock = clock

    async def hit(self, windows: Sequence[CountedWindow]) -> list[int]:
        counts: list[int] = []
        for window in windows:
            is_known_member = window.counts_members and counts[-1] > 1
            counts.append(self._count(window, 0 if is_known_member else 1))
            if counts[-1] > window.limit:
                break
        return counts

    def _count(self, window: CountedWindow, step: int) -> int:
        period = int(self._clock() // window.seconds)
        current, counts = self._windows.get(window.seconds, (-1, {}))
        if current != period:
            counts = {}
            self._windows[window.seconds] = (period, counts)
        counts[window.key] = count = counts.get(window.key, 0) + step
        return count

    async def close(self) -> None:
        self._windows.clear()
