"""Histograms of latencies: they can be added over processes, keys and days, which percentiles cannot."""

from bisect import bisect_left
from collections.abc import Sequence

GROWTH = 1.5
SMALLEST_MS = 0.5
LARGEST_BUCKET = 30
# The last bound is about 96 seconds. One more bucket counts what took longer.
BOUNDS_MS = tuple(SMALLEST_MS * GROWTH**power for power in range(LARGEST_BUCKET))
BOUNDS_SECONDS = tuple(bound / 1000 for bound in BOUNDS_MS)
BUCKETS = len(BOUNDS_MS) + 1


def bucket_of(seconds: float) -> int:
    return bisect_left(BOUNDS_SECONDS, seconds)


def add_histograms(histograms: Sequence[Sequence[int]]) -> list[int]:
    """An empty histogram counts nothing."""
    total = [0] * BUCKETS
    for histogram in histograms:
        for bucket, count in enumerate(histogram[:BUCKETS]):
            total[bucket] += count
    return total


def percentile_ms(histogram: Sequence[int], share: float) -> float | None:
    """Interpolated within its bucket, as Prometheus does it. None without requests."""
    rank, passed = share * sum(histogram), 0
    for bucket, count in enumerate(histogram):
        if count and passed + count >= rank:
            low = BOUNDS_MS[bucket - 1] if bucket else 0.0
            high = BOUNDS_MS[bucket] if bucket < len(BOUNDS_MS) else low
            return round(low + (high - low) * (rank - passed) / count, 2)
        passed += count
    return None
