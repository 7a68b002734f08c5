"""Counts the requests, searches, new memories and jobs of each project and key between two writes to `usage_by_day`."""

from collections import Counter
from typing import NamedTuple
from uuid import UUID

from app.core.observability.latency import BUCKETS, bucket_of


class UsageOf(NamedTuple):
    project_id: UUID
    key_id: UUID | None
    """None for people and for work in the background."""


class UsageCounts:
    def __init__(self) -> None:
        self.requests: Counter[UsageOf] = Counter()
        self.throttled: Counter[UsageOf] = Counter()
        self.memories: Counter[UsageOf] = Counter()
        self.searches: Counter[UsageOf] = Counter()
        self.jobs: Counter[UsageOf] = Counter()
        self.jobs_failed: Counter[UsageOf] = Counter()
        self.latency: Counter[tuple[UsageOf, int]] = Counter()
        """The requests in each bucket of latencies."""

    def __bool__(self) -> bool:
        return any(self._counters())

    def observe(self, used: UsageOf, seconds: float) -> None:
        self.latency[used, bucket_of(seconds)] += 1

    def count_job(self, project_id: UUID, *, failed: bool) -> None:
        """Every run counts, as in /metrics: a run that failed and will be repeated counts as failed."""
        used = UsageOf(project_id, None)
        self.jobs[used] += 1
        if failed:
            self.jobs_failed[used] += 1

    def histograms(self) -> dict[UsageOf, list[int]]:
        found: dict[UsageOf, list[int]] = {}
        for (used, bucket), count in self.latency.items():
            found.setdefault(used, [0] * BUCKETS)[bucket] += count
        return found

    def add(self, more: "UsageCounts") -> None:
        self.requests += more.requests
        self.throttled += more.throttled
        self.memories += more.memories
        self.searches += more.searches
        self.jobs += more.jobs
        self.jobs_failed += more.jobs_failed
        self.latency += more.latency

    def searches_of(self, project_id: UUID) -> int:
        """Those that are not written yet."""
        return sum(count for used, count in self.searches.items() if used.project_id == project_id)

    def take(self) -> "UsageCounts":
        """What was counted since the last call."""
        taken = UsageCounts()
        taken.add(self)
        for counter in self._counters():
            counter.clear()
        return taken

    def _counters(self) -> tuple[Counter[UsageOf] | Counter[tuple[UsageOf, int]], ...]:
        return self.requests, self.throttled, self.memories, self.searches, self.jobs, self.jobs_failed, self.latency
