"""The speed of the whole service over HTTP: `python -m bench.http [--memories 100000]`.

One server process as `python -m app serve` starts it, only its rate limits raised; every question and every added text
is new to it, so each is embedded. CPU is that of the server and its Postgres for each request. The last line is one
JSON object.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import uvloop

from app.api_keys.issue import issue_key
from app.core.observability.logging import configure_logging
from app.memory.categories import categorize_memories
from app.settings import Settings
from app.wiring import open_resources
from bench.corpus import Corpus, Namespaces, create_namespaces, sentences
from bench.load import drive, request

PLENTY = {f"RATE_LIMIT_{who}": "100000000/minute" for who in ("AUTH", "USER", "PROJECT", "GLOBAL", "CHAT")}
CLIENTS = (1, 8, 16, 32)
FILLED = "bench.json"
WARM_UP = 3
"""Seconds: a process that has just started has not read most customers' memories yet."""
FRESH = sentences(3)
Figures = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Kind:
    """One kind of request, with a check that its response is right."""

    name: str
    requests: Callable[[str, "People"], Iterator[bytes]]
    check: Callable[[bytes], bool]
    clients: tuple[int, ...] = CLIENTS


@dataclass(frozen=True)
class People:
    key: str
    large: str
    small: Sequence[str]


def searches(key: str, people: People) -> Iterator[bytes]:
    return (search(key, next(FRESH), random.choice(people.small)) for _ in itertools.count())


def searches_in_the_large(key: str, people: People) -> Iterator[bytes]:
    return (search(key, next(FRESH), people.large) for _ in itertools.count())


def known_searches(key: str, people: People) -> Iterator[bytes]:
    asked = list(itertools.islice(FRESH, 100))
    return (search(key, random.choice(asked), random.choice(people.small)) for _ in itertools.count())


def search(key: str, question: str, user_id: str) -> bytes:
    body = {"query": question, "filters": {"user_id": user_id}, "top_k": 10, "threshold": 0}
    return request("POST", "/v3/memories/search/", key, body)


def adds(key: str, people: People) -> Iterator[bytes]:
    path = "/v3/memories/add/"
    for text in FRESH:
        yield request("POST", path, key, {"messages": text, "user_id": random.choice(people.small), "infer": False})


def lists(key: str, people: People) -> Iterator[bytes]:
    body = {"filters": {"user_id": people.large}}
    return itertools.repeat(request("POST", "/v3/memories/?page=1&page_size=1000", key, body))


def pings(key: str, people: People) -> Iterator[bytes]:
    del people
    return itertools.repeat(request("GET", "/v1/ping/", key))


def holds(many: int, what: bytes) -> Callable[[bytes], bool]:
    return lambda body: body.count(what) == many


KINDS = (
    Kind("no-op", pings, holds(1, b'"status"')),
    Kind("search", searches, holds(10, b'"score"')),
    Kind("search, ten thousand", searches_in_the_large, holds(10, b'"score"'), (1, 16)),
    Kind("search, asked before", known_searches, holds(10, b'"score"'), (1, 16)),
    Kind("list of 1,000", lists, holds(1000, b'"memory"'), (1, 8)),
    Kind("add", adds, holds(1, b'"SUCCEEDED"')),
)


# ---------------------------------------------------------------- the server


async def fill(folder: Path, memories: int) -> None:
    """Waits until the background work for the inserted data is done."""
    async with open_resources(Settings(_env_file=None, data_dir=folder)) as resources:
        namespaces: Namespaces = await create_namespaces(resources)
        await Corpus(namespaces).grow(resources, memories)
        while await categorize_memories(resources, namespaces.large.project_id):
            pass
        key = await issue_key(
            resources.database, resources.key_pepper, name="http", project_id=namespaces.large.project_id
        )
    people = People(key, str(namespaces.large.user_id), [str(each.user_id) for each in namespaces.small])
    (folder / FILLED).write_text(json.dumps(asdict(people)))


@contextmanager
def serving(folder: Path, log: Path) -> Iterator[tuple[psutil.Process, int]]:
    command = [sys.executable, "-m", "app", "serve", "--port", "0", "--data-dir", str(folder)]
    with log.open("w") as file:
        child = subprocess.Popen(command, env={**os.environ, **PLENTY, "LOG_FORMAT": "json"}, stdout=file, stderr=file)
    try:
        yield psutil.Process(child.pid), wait_for_port(child, log)
    finally:
        child.terminate()
        child.wait()


def wait_for_port(child: "subprocess.Popen[bytes]", log: Path) -> int:
    while child.poll() is None:
        for line in log.read_text().splitlines():
            if '"serving"' in line:
                return int(json.loads(line)["address"].rpartition(":")[2])
    sys.exit(f"the server did not start: {log.read_text()}")


def cpu(server: psutil.Process, folder: Path) -> tuple[float, float]:
    """CPU seconds used so far by the server and by its Postgres."""
    return spent(server), sum(spent(each) for each in postgres_of(folder))


def spent(process: psutil.Process) -> float:
    """Zero for a process that has just ended, such as an autovacuum worker."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def postgres_of(folder: Path) -> list[psutil.Process]:
    main = int(next(folder.rglob("postmaster.pid")).read_text().split()[0])
    return [psutil.Process(main), *psutil.Process(main).children()]


# ---------------------------------------------------------------- main


async def measure(folder: Path, log: Path, kinds: Sequence[Kind], seconds: float) -> Figures:
    people = People(**json.loads((folder / FILLED).read_text()))
    figures: Figures = {}
    with serving(folder, log) as (server, port):
        for kind in kinds:
            asked = kind.requests(people.key, people)
            await drive(port, asked, 4, WARM_UP, kind.check)
            for clients in kind.clients:
                figures[f"{kind.name} at {clients}"] = await one(folder, server, port, kind, asked, clients, seconds)
    return figures


async def one(
    folder: Path, server: psutil.Process, port: int, kind: Kind, asked: Iterator[bytes], clients: int, seconds: float
) -> dict[str, float]:
    before = cpu(server, folder)
    load = await drive(port, asked, clients, seconds, kind.check)
    count = load.per_second * seconds
    ours, postgres = ((after - first) * 1000 / count for after, first in zip(cpu(server, folder), before, strict=True))
    print(f"{kind.name:22} {clients:3} clients {load}   cpu {ours:5.2f} + {postgres:5.2f} ms", flush=True)
    found = {"per_second": load.per_second, "p50_ms": load.p50, "p95_ms": load.p95}
    return {name: round(value, 2) for name, value in {**found, "cpu_ms": ours, "postgres_cpu_ms": postgres}.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", nargs="+", help=f"some of: {', '.join(kind.name for kind in KINDS)}")
    parser.add_argument("--folder", type=Path, help="kept afterwards, and used as it is if it is filled already")
    options = parser.parse_args()
    configure_logging("WARNING", as_json=False)
    kinds = [kind for kind in KINDS if not options.only or kind.name in options.only]
    with (
        tempfile.TemporaryDirectory(prefix="keepsake-bench-") as scratch,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        folder = options.folder or Path(scratch, "filled")
        if not (folder / FILLED).exists():
            runner.run(fill(folder, options.memories))
        figures = runner.run(measure(folder, Path(scratch, "log"), kinds, options.seconds))
    print(json.dumps({"bench": "http", "memories": options.memories, "figures": figures}))


if __name__ == "__main__":
    main()
