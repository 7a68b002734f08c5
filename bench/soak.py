"""Whether a server stays the same for a long time: `python -m bench.soak --minutes 20 --users 50`.

The users ping, search, add, add with extraction, change, delete and chat at a constant rate. Every ten seconds the
memory, open files, threads and Postgres connections of the server are recorded. The first quarter counts as warm-up.
The exit code is not 0 if memory grows faster than what the stored memories explain, if descriptors or connections grow,
if work piles up, or if a request fails.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from app.adapters.embedded_postgres import EmbeddedPostgres
from bench.corpus import sentences
from bench.http import PLENTY, postgres_of, spent
from bench.load import spell
from bench.neighbour import ROOT, Server, create_key, serving, sign_up

SAMPLE_SECONDS = 10.0
TIMEOUT_SECONDS = 30.0
MAX_MEMORY_GROWTH = 0.10
"""Of the resident memory from the end of the warm-up to the end, beyond what the stored memories need."""
BYTES_PER_MEMORY = 4_300
"""Of the index: 0.4 GB for 100,000 memories, see `bench.engine`."""
MAX_DESCRIPTOR_GROWTH = 20
"""The pools of connections grow and shrink with the load."""
MAX_WAITING = 200
STATE_SQL = b"""
select (select count(*) from pg_stat_activity where backend_type = 'client backend'),
  (select count(*) from jobs.procrastinate_jobs where status in ('todo', 'doing')),
  (select count(*) from events where status in ('PENDING', 'RUNNING')),
  (select count(*) from memories where state <> 'indexed'), (select count(*) from memories)
"""
Reply = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    at: float
    rss: int
    postgres_rss: int
    descriptors: int
    threads: int
    connections: int
    jobs: int
    events: int
    pending: int
    memories: int
    cpu: float
    """Cores in use by the server and Postgres since the sample before."""


@dataclass
class Outcomes:
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def failed(self) -> dict[str, int]:
        return {name: count for name, count in self.statuses.items() if not name.startswith("2")}


class User:
    """One user of an application, over one connection, one request at a time."""

    def __init__(self, port: int, key: str, number: int, outcomes: Outcomes) -> None:
        self._port, self._key, self._outcomes = port, key, outcomes
        self._name = f"user {number}"
        self._chance, self._texts = random.Random(number), sentences(number)
        self._mine, self._sessions = list[str](), list[str]()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def live(self, until: float, every_seconds: float) -> None:
        actions: list[Callable[[], Any]] = [self._ping, self._search, self._search, self._search, self._add, self._add]
        actions += [self._add_inferred, self._change, self._delete, self._chat]
        await asyncio.sleep(self._chance.uniform(0, every_seconds))
        due = time.monotonic()
        while due < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            started_at = time.monotonic()
            await self._chance.choice(actions)()
            self._outcomes.seconds.append(time.monotonic() - started_at)
            due += self._chance.uniform(0.5, 1.5) * every_seconds

    async def _ping(self) -> None:
        await self._send("GET", "/v1/ping/")

    async def _search(self) -> None:
        body = {"query": next(self._texts), "filters": {"user_id": self._name}}
        await self._send("POST", "/v3/memories/search/", body)

    async def _add(self) -> None:
        body = {"messages": next(self._texts), "user_id": self._name, "infer": False}
        if reply := await self._send("POST", "/v3/memories/add/", body):
            self._mine.append(reply["results"][0]["id"])

    async def _add_inferred(self) -> None:
        await self._send("POST", "/v3/memories/add/", {"messages": next(self._texts), "user_id": self._name})

    async def _change(self) -> None:
        if self._mine:
            memory_id = self._chance.choice(self._mine)
            await self._send("PUT", f"/v1/memories/{memory_id}/", {"text": next(self._texts)})

    async def _delete(self) -> None:
        if len(self._mine) > 5:
            await self._send("DELETE", f"/v1/memories/{self._mine.pop(0)}/")

    async def _chat(self) -> None:
        """A new session every twenty turns, so that sessions come and go."""
        if not self._sessions or self._chance.random() < 0.05:
            mode = self._chance.choice(["normal", "normal", "incognito"])
            reply = await self._send("POST", "/v1/sessions", {"user_id": self._name, "privacy_mode": mode})
            self._sessions = [reply["id"]] if reply else []
        if self._sessions:
            path = f"/v1/sessions/{self._sessions[0]}/messages"
            await self._send("POST", path, {"content": next(self._texts)})

    async def _send(self, method: str, path: str, body: object = None) -> Reply | None:
        content = spell(method, path, {"Authorization": f"Token {self._key}"}, body)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                status, reply = await self._exchange(content)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            self._close()
            status, reply = type(error).__name__, b""
        self._outcomes.statuses[status] += 1
        parsed: Reply | None = json.loads(reply) if status.startswith("2") else None
        return parsed

    async def _exchange(self, content: bytes) -> tuple[str, bytes]:
        """On the connection of before, or on a new one if the server has closed it meanwhile."""
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self._close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
        self._writer.write(content)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        return head.split(b" ", 2)[1].decode(), await self._reader.readexactly(length)

    def _close(self) -> None:
        if self._writer:
            self._writer.close()
        self._reader = self._writer = None


# ---------------------------------------------------------------- sampling


class Sampler:
    def __init__(self, server: Server) -> None:
        self._server, self._process = server, psutil.Process(server.pid)
        self._url = EmbeddedPostgres(server.folder).url("postgres").replace("+psycopg", "")
        self._cpu, self._at = self._cpu_seconds(), time.monotonic()
        self._began = self._at
        self.samples = list[Sample]()

    async def sample_until(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(min(SAMPLE_SECONDS, max(0.1, until - time.monotonic())))
            self.samples.append(await self._sample())

    async def _sample(self) -> Sample:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as postgres:
            row = await (await postgres.execute(STATE_SQL)).fetchone()
        assert row
        connections, jobs, events, pending, memories = map(int, row)
        cpu, at = self._cpu_seconds(), time.monotonic()
        cores = (cpu - self._cpu) / (at - self._at)
        self._cpu, self._at = cpu, at
        return Sample(
            at=at - self._began,
            rss=self._process.memory_info().rss,
            postgres_rss=sum(private_memory(each) for each in postgres_of(self._server.folder)),
            descriptors=self._process.num_fds(),
            threads=self._process.num_threads(),
            connections=connections - 1,
            jobs=jobs,
            events=events,
            pending=pending,
            memories=memories,
            cpu=cores,
        )

    def _cpu_seconds(self) -> float:
        return spent(self._process) + sum(spent(each) for each in postgres_of(self._server.folder))


def private_memory(process: psutil.Process) -> int:
    """Without the memory that all processes of Postgres share. Zero for a process that has just ended."""
    try:
        memory = process.memory_info()
    except psutil.NoSuchProcess:
        return 0
    return int(memory.rss - memory.shared)


# ---------------------------------------------------------------- judging


def slope(samples: list[Sample], value: Callable[[Sample], float]) -> float:
    """The growth per minute, by least squares."""
    return statistics.linear_regression([each.at / 60 for each in samples], [value(each) for each in samples]).slope


def judge(samples: list[Sample], outcomes: Outcomes) -> list[str]:
    """What is not flat after the warm-up."""
    steady = samples[len(samples) // 4 :]
    third = max(1, len(steady) // 3)

    def growth(value: Callable[[Sample], float]) -> float:
        return statistics.median(map(value, steady[-third:])) - statistics.median(map(value, steady[:third]))

    explained = BYTES_PER_MEMORY * max(0.0, growth(lambda each: each.memories))
    allowed = MAX_MEMORY_GROWTH * steady[0].rss + explained
    problems = []
    if (grown := growth(lambda each: each.rss)) > allowed:
        problems.append(f"memory grew by {grown / 2**20:.0f} MB, and {allowed / 2**20:.0f} MB are allowed")
    for name, allowance in {
        "descriptors": MAX_DESCRIPTOR_GROWTH,
        "connections": MAX_DESCRIPTOR_GROWTH,
        "threads": 4,
    }.items():
        if (grown := growth(lambda each: float(getattr(each, name)))) > allowance:  # noqa: B023
            problems.append(f"{name} grew by {grown:.0f}")
    for name in ("jobs", "events", "pending"):
        if (waiting := getattr(samples[-1], name)) > MAX_WAITING:
            problems.append(f"{waiting} {name} were left at the end")
    if outcomes.failed:
        problems.append(f"requests failed: {outcomes.failed}")
    return problems


def report(samples: list[Sample], outcomes: Outcomes) -> None:
    steady = samples[len(samples) // 4 :]
    print("| | start | middle | end | per minute after the warm-up |\n|---|---|---|---|---|")
    rows: dict[str, Callable[[Sample], float]] = {
        "memory of the server, MB": lambda each: each.rss / 2**20,
        "memory of Postgres without what is shared, MB": lambda each: each.postgres_rss / 2**20,
        "open descriptors": lambda each: each.descriptors,
        "threads": lambda each: each.threads,
        "connections to Postgres": lambda each: each.connections,
        "jobs waiting or running": lambda each: each.jobs,
        "events not finished": lambda each: each.events,
        "memories not indexed": lambda each: each.pending,
        "memories": lambda each: each.memories,
        "cores in use by server and Postgres": lambda each: each.cpu,
    }
    for name, value in rows.items():
        places = (samples[0], samples[len(samples) // 2], samples[-1])
        digits = 2 if "cores" in name else 0
        cells = [f"{value(each):.{digits}f}" for each in places]
        print(f"| {name} | {' | '.join(cells)} | {slope(steady, value):+.2f} |")
    ordered = sorted(outcomes.seconds)
    p50, p99 = (1000 * ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    print(f"\n{len(ordered)} requests: {dict(outcomes.statuses)}; p50 {p50:.0f} ms, p99 {p99:.0f} ms")


async def soak(minutes: float, users: int, rate: float, checkout: Path) -> list[str]:
    outcomes = Outcomes()
    with serving(checkout, **PLENTY) as server:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
            keys = [await create_key(client, await sign_up(client, f"owner{number}")) for number in range(5)]
        until = time.monotonic() + 60 * minutes
        sampler = Sampler(server)
        living = [
            asyncio.create_task(User(server.port, key, number, outcomes).live(until, users / rate))
            for number, key in zip(range(users), itertools.cycle(keys), strict=False)
        ]
        await sampler.sample_until(until)
        await asyncio.gather(*living)
        await sampler.sample_until(time.monotonic() + SAMPLE_SECONDS)
    report(sampler.samples, outcomes)
    return judge(sampler.samples, outcomes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--rate", type=float, default=80, help="requests a second of all users together")
    parser.add_argument("--against", type=Path, default=ROOT, help="a checkout whose server is measured instead")
    given = parser.parse_args()
    problems = asyncio.run(soak(given.minutes, given.users, given.rate, given.against))
    if problems:
        sys.exit(f"Not flat: {'; '.join(problems)}")


if __name__ == "__main__":
    main()
