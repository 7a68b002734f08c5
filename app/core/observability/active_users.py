"""Counts recently active callers for /metrics. Their names stay in the process and are no labels."""

import time
from collections import OrderedDict
from collections.abc import Callable

ACTIVE_SECONDS = 300
MAX_USERS = 100_000


class ActiveUsers:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._last_seen: OrderedDict[str, float] = OrderedDict()
        self._clock = clock

    def record(self, name: str) -> None:
        self._last_seen[name] = self._clock()
        self._last_seen.move_to_end(name)
        if len(self._last_seen) > MAX_USERS:
            self._last_seen.popitem(last=False)

    def count(self) -> int:
        since = self._clock() - ACTIVE_SECONDS
        while self._last_seen and next(iter(self._last_seen.values())) < since:
            self._last_seen.popitem(last=False)
        return len(self._last_seen)
