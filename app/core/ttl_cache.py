"""What is asked for with every request and seldom changes: known for a few seconds, then asked again."""

import time
from collections.abc import Awaitable, Callable, Hashable

SECONDS = 5.0
MOST = 10_000


class Brief:
    """Another process may have changed it meanwhile: only for what may be a few seconds late."""

    def __init__(self, *, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._known: dict[Hashable, tuple[float, bool]] = {}

    async def ask(self, key: Hashable, load: Callable[[], Awaitable[bool]]) -> bool:
        found = self._known.get(key)
        if found is None or found[0] < self._clock():
            if len(self._known) >= MOST:
                self._known.clear()
            found = (self._clock() + self._seconds, await load())
            self._known[key] = found
        return found[1]

    def forget(self, key: Hashable) -> None:
        self._known.pop(key, None)
