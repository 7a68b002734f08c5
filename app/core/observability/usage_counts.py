"""Counts the requests and new memories of each project and key between two writes to `usage_by_day`."""

from collections import Counter
from typing import NamedTuple
from uuid import UUID


class UsageOf(NamedTuple):
    project_id: UUID
    key_id: UUID | None
    """None for people and for work in the background."""


class UsageCounts:
    def __init__(self) -> None:
        self.requests: Counter[UsageOf] = Counter()
        self.throttled: Counter[UsageOf] = Counter()
        self.memories: Counter[UsageOf] = Counter()

    def __bool__(self) -> bool:
        return bool(self.requests or self.throttled or self.memories)

    def add(self, more: "UsageCounts") -> None:
        self.requests += more.requests
        self.throttled += more.throttled
        self.memories += more.memories

    def take(self) -> "UsageCounts":
        """What was counted since the last call."""
        taken = UsageCounts()
        taken.add(self)
        for counter in (self.requests, self.throttled, self.memories):
            counter.clear()
        return taken
