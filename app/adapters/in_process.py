"""Short-term memory and counters inside the process: the default."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from app.core.config import TENANT_BYTES
from app.core.ports import CountedWindow

MAX_BYTES = 256 << 20
OVERHEAD_BYTES = 400
"""What Python needs for a value besides its key and its bytes, about."""
CHECKED = 8
"""How many of the oldest values each write checks."""


@dataclass(slots=True)
class TenantValues:
    """The values of one tenant, the least recently used first, each with its end."""

    values: OrderedDict[str, tuple[float, bytes]] = field(default_factory=OrderedDict)
    size: int = 0

    def put(self, key: str, end: float, value: bytes) -> None:
        self.remove(key)
        self.values[key] = (end, value)
        self.size += size_of(key, value)

    def remove(self, key: str) -> bool:
        found = self.values.pop(key, None)
        self.size -= size_of(key, found[1]) if found else 0
        return found is not None


class InProcessShortTerm:
    """Values with a time to live, in a bounded number of bytes.

    A tenant that exceeds its share loses its least recently used values. If all tenants together use too much, the one
    that uses most loses them."""

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        tenant_bytes: int = TENANT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tenants: OrderedDict[str | None, TenantValues] = OrderedDict()
        self._tenant_of: dict[str, str | None] = {}
        self._max_bytes = max_bytes
        self._tenant_bytes = tenant_bytes
        self.size = 0
        self._clock = clock

    async def get(self, key: str) -> bytes | None:
        if key not in self._tenant_of:
            return None
        owner = self._tenants[self._tenant_of[key]]
        end, value = owner.values[key]
        if end <= self._clock():
            self._remove(key)
            return None
        owner.values.move_to_end(key)
        return value

    async def set(self, key: str, value: bytes, ttl_seconds: float, *, tenant: str | None = None) -> None:
        self._remove(key)
        self._remove_expired()
        owner = self._tenants.setdefault(tenant, TenantValues())
        owner.put(key, self._clock() + ttl_seconds, value)
        self._tenant_of[key] = tenant
        self.size += size_of(key, value)
        while tenant is not None and owner.size > self._tenant_bytes:
            self._remove(next(iter(owner.values)))
        while self.size > self._max_bytes:
            largest = max(self._tenants.values(), key=lambda each: each.size)
            self._remove(next(iter(largest.values)))

    async def delete(self, *keys: str) -> int:
        return sum(self._remove(key) for key in keys)

    async def delete_tenant(self, tenant: str) -> int:
        return await self.delete(*(self._tenants[tenant].values if tenant in self._tenants else ()))

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None:
        self._tenants.clear()
        self._tenant_of.clear()
        self.size = 0

    def _remove(self, key: str) -> bool:
        if key not in self._tenant_of:
            return False
        tenant = self._tenant_of.pop(key)
        owner = self._tenants[tenant]
        before = owner.size
        owner.remove(key)
        self.size -= before - owner.size
        if not owner.values:
            del self._tenants[tenant]
        return True

    def _remove_expired(self) -> None:
        """Each write checks the oldest values of another tenant, so that no single write has to check all of them."""
        if not self._tenants:
            return
        tenant, now = next(iter(self._tenants)), self._clock()
        self._tenants.move_to_end(tenant)
        oldest = islice(self._tenants[tenant].values.items(), CHECKED)
        for key in [key for key, (end, _) in oldest if end <= now]:
            self._remove(key)


def size_of(key: str, value: bytes) -> int:
    return len(key) + len(value) + OVERHEAD_BYTES


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
