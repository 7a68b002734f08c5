"""The speed of the embedded index: `python -m bench.index [MEMORIES] [FOLDER]`.

A tenth of the memories is in one namespace, the rest in 200.
"""

import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
from app.core.ports import IndexEntry, SearchScope

DIMENSIONS, NAMESPACES, BATCH, ROUNDS = 384, 200, 64, 300
WORDS = [f"word{n}" for n in range(5000)]
PROJECT = uuid.uuid4()
VECTORS = [[random.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in range(1000)]


def said() -> str:
    return " ".join(WORDS[min(len(WORDS) - 1, int(random.paretovariate(0.6)))] for _ in range(15))


def entries(namespace: str, count: int) -> list[IndexEntry]:
    return [IndexEntry(uuid.uuid4(), PROJECT, namespace, random.choice(VECTORS), said()) for _ in range(count)]


def scope(namespace: str) -> SearchScope:
    return SearchScope(PROJECT, (namespace,))


async def timed(work: Callable[[], Awaitable[object]], rounds: int = ROUNDS) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken), sorted(taken)[int(rounds * 0.95)]


async def fill(index: QdrantEdgeIndex, memories: int) -> float:
    """Memories per second, in the batches that the ledger sends."""
    large = entries("large", memories // 10)
    batches: list[Sequence[IndexEntry]] = [large[at : at + BATCH] for at in range(0, len(large), BATCH)]
    batches += [entries(f"n{n % NAMESPACES}", BATCH) for n in range((memories - len(large)) // BATCH)]
    start = time.perf_counter()
    for batch in batches:
        await index.upsert(batch)
    return sum(map(len, batches)) / (time.perf_counter() - start)


async def searches(index: QdrantEdgeIndex, label: str) -> None:
    for name, count in (("n", NAMESPACES), ("large", 0)):
        await search(index, f"{label}, {'small' if count else 'large'} namespace", name, count)


async def search(index: QdrantEdgeIndex, label: str, name: str, count: int) -> None:
    def pick() -> SearchScope:
        return scope(f"{name}{random.randrange(count)}" if count else name)

    both = await timed(lambda: index.find_candidates(pick(), random.choice(VECTORS), said(), 50))
    dense = await timed(lambda: index.find_similar(pick(), random.choice(VECTORS), 50))
    print(f"{label}: both p50 {both[0]:.2f} p95 {both[1]:.2f} ms, dense alone p50 {dense[0]:.2f} ms")


async def main(memories: int, folder: Path) -> None:
    index = await QdrantEdgeIndex.open(folder, "bench", DIMENSIONS, quiet_seconds=0)
    print(f"{memories} memories: {await fill(index, memories):.0f} inserts/s in batches of {BATCH}")
    one = await timed(lambda: index.upsert(entries("n0", 1)))
    print(f"one insert: p50 {one[0]:.2f} p95 {one[1]:.2f} ms")
    await searches(index, "not optimized")
    for _ in range(2):
        settled = await timed(index.run_housekeeping, 1)
        print(f"pause of settle: {settled[0]:.0f} ms")
    await searches(index, "optimized")
    await index.close()
    start = time.perf_counter()
    index = await QdrantEdgeIndex.open(folder, "bench", DIMENSIONS)
    print(f"open: {(time.perf_counter() - start) * 1000:.0f} ms")
    await index.close()


if __name__ == "__main__":
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp())
    try:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, target))
    finally:
        if len(sys.argv) < 3:
            shutil.rmtree(target)
