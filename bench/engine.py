"""The speed of the memory engine in process: `python -m bench.engine [--sizes 1000 10000 100000]`.

A tenth of the memories is in one namespace, the rest in 200. Texts that are asked for or added while a clock runs are
new to the engine, so each is embedded. CPU time is that of this process, Postgres not included.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import uvloop

from app.core.observability.logging import configure_logging
from app.core.ports import Purpose, SearchScope
from app.core.resources import Resources
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.recall import Question, recall
from app.memory.remember import remember
from app.settings import Settings
from app.wiring import open_resources
from bench.corpus import Corpus, Namespaces, create_namespaces, sentences

ROUNDS, ADDS, BATCH, CALLERS = 300, 640, 128, 16
FRESH = sentences(2)
Figures = dict[str, float]


async def timed(name: str, work: Callable[[], Awaitable[object]], rounds: int = ROUNDS) -> Figures:
    """Milliseconds: median, 95th percentile, and CPU of this process."""
    for _ in range(10):
        await work()
    taken, cpu = [], time.process_time()
    for _ in range(rounds):
        start = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - start) * 1000)
    spent = (time.process_time() - cpu) * 1000 / rounds
    p50, p95 = statistics.median(taken), sorted(taken)[int(rounds * 0.95)]
    print(f"  {name:44} p50 {p50:7.2f}  p95 {p95:7.2f}  cpu {spent:6.2f} ms")
    return {f"{name}, p50 ms": round(p50, 2), f"{name}, cpu ms": round(spent, 2)}


# ---------------------------------------------------------------- search


async def searches(resources: Resources, namespaces: Namespaces) -> Figures:
    for namespace in namespaces.small:  # Warm caches, as in a process that has run for a while.
        await recall(resources, Question(namespace.project_id, next(FRESH), (namespace,)))
    figures: Figures = {}
    for name, homes in (("small", namespaces.small), ("large", (namespaces.large,))):
        figures |= await timed(f"search, {name} namespace", search_in(resources, homes))
        figures |= await timed(f"index alone, {name} namespace", index_alone(resources, homes))
    return figures | await timed("embedding alone", lambda: embed(resources))


def search_in(resources: Resources, homes: Sequence[Namespace]) -> Callable[[], Awaitable[object]]:
    async def search() -> None:
        namespace = random.choice(homes)
        await recall(resources, Question(namespace.project_id, next(FRESH), (namespace,)))

    return search


async def embed(resources: Resources) -> None:
    await resources.embedder.embed([next(FRESH)], Purpose.QUERY)


def index_alone(resources: Resources, homes: Sequence[Namespace]) -> Callable[[], Awaitable[object]]:
    vectors = [[random.gauss(0, 0.05) for _ in range(resources.embedder.dimensions)] for _ in range(50)]
    limit = resources.config.recall_candidates

    async def look() -> None:
        namespace = random.choice(homes)
        scope = SearchScope(namespace.project_id, (str(namespace),))
        await resources.index.find_candidates(scope, random.choice(vectors), next(FRESH), limit)

    return look


# ---------------------------------------------------------------- adds


async def adds(resources: Resources, namespaces: Namespaces, folder: Path) -> Figures:
    figures = await rate(resources, namespaces, "add one by one", 1, callers=1)
    figures |= await rate(resources, namespaces, f"add one by one, {CALLERS} callers", 1, callers=CALLERS)
    figures |= await rate(resources, namespaces, f"add in batches of {BATCH}", BATCH, callers=1)
    return figures | await timed("a confirmed write, disk alone", partial(asyncio.to_thread, confirmed_write, folder))


async def rate(resources: Resources, namespaces: Namespaces, name: str, size: int, *, callers: int) -> Figures:
    """Memories per second until the last is acknowledged, and until the last can be found."""
    count = ADDS * (2 if size > 1 else 1)
    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(add(resources, namespaces, size, count // size // callers) for _ in range(callers)))
    acknowledged = count / (time.perf_counter() - start)
    await resources.index_queue.wait_until_indexed(namespaces.large.project_id, None)
    found = count / (time.perf_counter() - start)
    spent = (time.process_time() - cpu) * 1000 / count
    print(f"  {name:34} {acknowledged:6.0f}/s acknowledged {found:6.0f}/s searchable  cpu {spent:5.2f} ms each")
    return {f"{name}, per second": round(acknowledged), f"{name}, searchable per second": round(found)}


async def add(resources: Resources, namespaces: Namespaces, size: int, times: int) -> None:
    for _ in range(times):
        new = [NewMemory(text) for text in itertools.islice(FRESH, size)]
        await remember(resources, random.choice(namespaces.small), new)


def confirmed_write(folder: Path) -> None:
    """The minimum time of a commit: one write confirmed by the disk."""
    with (folder / "written").open("ab") as file:
        file.write(bytes(8192))
        file.flush()
        os.fdatasync(file.fileno())


# ---------------------------------------------------------------- memory


def resident() -> float:
    """Resident megabytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def on_disk(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


# ---------------------------------------------------------------- main


async def measure(resources: Resources, namespaces: Namespaces, folder: Path) -> Figures:
    figures = await searches(resources, namespaces) | await adds(resources, namespaces, folder)
    room = {"resident MB": round(resident()), "on disk MB": round(on_disk(folder))}
    print(f"  {room}")
    return figures | room


async def run(sizes: list[int], folder: Path) -> dict[str, Figures]:
    """Reopens the index after it has grown, which optimizes it as half a minute without requests would."""
    found: dict[str, Figures] = {}
    settings = Settings(_env_file=None, data_dir=folder)
    async with open_resources(settings) as resources:
        namespaces = await create_namespaces(resources)
        print(f"before the first memory: {resident():.0f} MB resident")
    corpus = Corpus(namespaces)
    for size in sizes:
        async with open_resources(settings) as resources:
            await corpus.grow(resources, size)
        async with open_resources(settings) as resources:
            print(f"{size} memories:")
            found[str(size)] = await measure(resources, namespaces, folder)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="kept afterwards; a temporary one if left out")
    arguments = parser.parse_args()
    configure_logging("WARNING", as_json=False)
    with (
        tempfile.TemporaryDirectory() as scratch,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures = runner.run(run(arguments.sizes, arguments.folder or Path(scratch)))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
