"""How many callers were here lately, for /metrics. Names stay in the process and in no label."""

import time
from collections import OrderedDict
from collections.abc import Callable

LATELY_SECONDS = 300
MOST = 100_000


class Presence:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._clock = clock

    def note(self, name: str) -> None:
        self._seen[name] = self._clock()
        self._seen.move_to_end(name)
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)

    def count(self) -> int:
        since = self._clock() - LATELY_SECONDS
        while self._seen and next(iter(self._seen.values())) < since:
            self._seen.popitem(last=False)
        return len(self._seen)
