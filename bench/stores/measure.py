"""Measures one store with one number of memories, in a process of its own."""

import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from app.core.ports import Candidate, VectorIndex
from bench.stores.data import LARGE, SMALL_NAMESPACES, Memories, make_memories, scope_of
from bench.stores.running import LeftOutError, RunningStore, running_store

BATCH, LIMIT = 256, 50
ROUNDS = 20
LARGEST = {"milvus-lite": 10_000}
"""A search of Milvus Lite compares everything, in this process."""


@dataclass
class Measured:
    """Times are medians in milliseconds. Recall is the share of the 10 and the 50 nearest that a search finds."""

    store: str
    memories: int
    start_seconds: float
    inserts_per_second: float
    insert_one: float
    small_both: float
    small_dense: float
    large_both: float
    large_dense: float
    project_dense: float
    recall_small: float
    recall_large: float
    recall_project_10: float
    recall_project_50: float
    megabytes: float
    disk_megabytes: float
    open_again: float


async def measure(store: str, size: int, sentences: Path) -> Measured:
    if size > LARGEST.get(store, size):
        raise LeftOutError("it has no index, and is meant for development and tests")
    memories = make_memories(sentences, size)
    folder = Path(tempfile.mkdtemp(prefix="keepsake-bench-"))
    try:
        async with running_store(store, folder) as running:
            return await measure_running(store, running, memories, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def measure_running(store: str, running: RunningStore, memories: Memories, folder: Path) -> Measured:
    before, size = running.resident(), len(memories.texts)
    opening = time.perf_counter()
    index = await running.open()
    start = running.seconds_to_start + time.perf_counter() - opening
    speed = await fill(index, memories)
    one = await timed(lambda n: index.upsert(memories.entries(n, n + 1)), ROUNDS)
    await settle(index)
    small = [f"small{n}" for n in range(1, SMALL_NAMESPACES) if n % 10]
    figures = {
        "insert_one": one,
        "small_both": await timed(lambda n: search(index, memories, small[n], n)),
        "small_dense": await timed(lambda n: nearest(index, memories, small[n], n)),
        "large_both": await timed(lambda n: search(index, memories, LARGE, n)),
        "large_dense": await timed(lambda n: nearest(index, memories, LARGE, n)),
        "project_dense": await timed(lambda n: nearest(index, memories, None, n)),
        "recall_small": await recall(index, memories, small[0], LIMIT),
        "recall_large": await recall(index, memories, LARGE, LIMIT),
        "recall_project_10": await recall(index, memories, None, 10),
        "recall_project_50": await recall(index, memories, None, LIMIT),
        "megabytes": (running.resident() - before) / 1e6,
    }
    await index.close()
    opening = time.perf_counter()
    again = await running.open()
    opened = (time.perf_counter() - opening) * 1000
    await again.close()
    return Measured(store, size, start, speed, open_again=opened, disk_megabytes=size_of(folder) / 1e6, **figures)


async def fill(index: VectorIndex, memories: Memories) -> float:
    """Memories per second."""
    size, spent = len(memories.texts), 0.0
    for start in range(0, size, BATCH):
        entries = memories.entries(start, min(size, start + BATCH))
        began = time.perf_counter()
        await index.upsert(entries)
        spent += time.perf_counter() - began
    return size / spent


async def settle(index: VectorIndex) -> None:
    for _ in range(2):
        await index.run_housekeeping()


async def search(index: VectorIndex, memories: Memories, namespace: str, n: int) -> list[Candidate]:
    """By meaning and by words, as a search of memories does."""
    vector = memories.questions[n].tolist()
    return await index.find_candidates(scope_of(namespace), vector, memories.question_texts[n], LIMIT)


async def nearest(index: VectorIndex, memories: Memories, namespace: str | None, n: int) -> list[Candidate]:
    return await index.find_similar(scope_of(namespace), memories.questions[n].tolist(), LIMIT)


async def recall(index: VectorIndex, memories: Memories, namespace: str | None, limit: int) -> float:
    shares = []
    for n in range(ROUNDS):
        expected = memories.nearest(namespace, n, limit)
        found = await index.find_similar(scope_of(namespace), memories.questions[n].tolist(), limit)
        shares.append(len(expected.intersection(each.id for each in found)) / len(expected))
    return statistics.mean(shares)


async def timed(work: Callable[[int], Awaitable[object]], rounds: int = ROUNDS) -> float:
    taken = []
    for n in range(rounds):
        began = time.perf_counter()
        await work(n)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def size_of(folder: Path) -> int:
    """What the files occupy: those of Qdrant Edge are sparse."""
    return sum(each.stat().st_blocks * 512 for each in folder.rglob("*") if each.is_file())


def main() -> None:
    store, size, sentences = sys.argv[1:]
    try:
        print(json.dumps(asdict(asyncio.run(measure(store, int(size), Path(sentences))))))
    except LeftOutError as reason:
        print(json.dumps({"store": store, "memories": int(size), "left_out": str(reason)}))


if __name__ == "__main__":
    main()
