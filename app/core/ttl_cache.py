"""A cache for values that every request needs and that seldom change."""

import time
from collections.abc import Awaitable, Callable, Hashable

TTL_SECONDS = 5.0
MAX_ENTRIES = 10_000


class TtlCache:
    """Not invalidated across processes: only for values that may be a few seconds out of date."""

    def __init__(self, *, seconds: float = TTL_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._entries: dict[Hashable, tuple[float, bool]] = {}

    async def get_or_load(self, key: Hashable, load: Callable[[], Awaitable[bool]]) -> bool:
        entry = self._entries.get(key)
        if entry is None or entry[0] < self._clock():
            if len(self._entries) >= MAX_ENTRIES:
                self._entries.clear()
            entry = (self._clock() + self._seconds, await load())
            self._entries[key] = entry
        return entry[1]

    def invalidate(self, key: Hashable) -> None:
        self._entries.pop(key, None)
