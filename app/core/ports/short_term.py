"""Short-term memory, and the counters of rate limits."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class ShortTerm(Protocol):
    """A cache of small values with a time to live. Losing it never loses data.

    Each tenant has a share of the memory. When it is full, the tenant's oldest values are removed, and no others.
    """

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, ttl_seconds: float, *, tenant: str | None = None) -> None: ...

    async def delete(self, *keys: str) -> int: ...

    async def delete_tenant(self, tenant: str) -> int:
        """Delete everything that was set for this tenant, which has ended."""
        ...

    async def healthy(self) -> bool: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class CountedWindow:
    """A counter that starts again at the end of each period of this length."""

    key: str
    seconds: int
    limit: int = sys.maxsize
    counts_members: bool = False
    """Count only if the window before it in the list was counted for the first time: the number of its keys."""


class Counters(Protocol):
    """Counts in fixed windows, for rate limits."""

    async def hit(self, windows: Sequence[CountedWindow]) -> list[int]:
        """Count the windows in this order, up to the first that exceeds its limit, and return the counts."""
        ...

    async def close(self) -> None: ...
