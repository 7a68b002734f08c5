"""Whether an attack hurts a neighbour: `python -m bench.neighbour [ATTACK …] [--against CHECKOUT]`.

For each attack of `bench.attacks` a server is started with its default limits. Two neighbours with accounts of their
own ping, search, add and chat at a constant rate, and each latency is measured from the moment at which the request was
due. An attacker with another account joins in every second phase. A request that is refused, or not answered within
ten seconds, counts as ten seconds. The output is a table in Markdown.
"""

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.attacks import ATTACKS
from bench.corpus import sentences
from bench.load import answer, request

ROOT = Path(__file__).parent.parent
NEIGHBOURS = 2
RATES = {"ping": 4.0, "search": 3.0, "add": 1.5, "chat": 0.4}
"""Of each neighbour, a second. Together they stay below the limits of one caller."""
KNOWN_MEMORIES = 200
TIMEOUT_SECONDS = 10.0
MAX_RECOVERY_SECONDS = 60.0
TARGET = 3.0
PASSWORD = "correct horse battery"
KEYS, PROJECTS = 40, 20


# ---------------------------------------------------------------- processes


@dataclass(frozen=True)
class Child:
    pid: int
    line: str
    """The first line of its output that says it is ready."""


@dataclass(frozen=True)
class Server:
    pid: int
    port: int
    folder: Path


@contextmanager
def running(command: list[str], cwd: Path, ready: str, **settings: str) -> Iterator[Child]:
    """Starts the command, and waits until a line of its output contains `ready`."""
    with tempfile.NamedTemporaryFile("r", prefix="keepsake-bench-") as log:
        environment = {**os.environ, **settings}
        with Path(log.name).open("w") as output:
            child = subprocess.Popen(command, cwd=cwd, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield Child(child.pid, wait_for_line(child, log.name, ready))
        finally:
            child.terminate()
            child.wait()


def wait_for_line(child: "subprocess.Popen[bytes]", log: str, ready: str) -> str:
    while child.poll() is None:
        for line in Path(log).read_text().splitlines():
            if ready in line:
                return line
        time.sleep(0.05)
    sys.exit(f"the process did not start: {Path(log).read_text()}")


@contextmanager
def serving(checkout: Path, **settings: str) -> Iterator[Server]:
    """A server on a new data folder, with a model."""
    with (
        tempfile.TemporaryDirectory(prefix="keepsake-bench-") as folder,
        running([sys.executable, "-m", "bench.model"], ROOT, "") as model,
    ):
        model_settings = {"LLM_BASE_URL": f"http://127.0.0.1:{model.line}/v1", "LLM_API_KEY": "key"}
        settings = {**model_settings, "DATA_DIR": folder, "LOG_FORMAT": "json", **settings}
        command = [sys.executable, "-m", "app", "serve", "--port", "0"]
        with running(command, checkout, '"serving"', **settings) as child:
            address: str = json.loads(child.line)["address"]
            yield Server(child.pid, int(address.rpartition(":")[2]), Path(folder))


# ---------------------------------------------------------------- accounts


async def sign_up(client: httpx.AsyncClient, name: str) -> dict[str, str]:
    account = {"email": f"{name}@example.com", "password": PASSWORD}
    response = (await client.post("/v1/auth/signup", json=account)).raise_for_status()
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


async def create_key(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
    response = (await client.post("/v1/api-keys", json={"name": "bench"}, headers=headers)).raise_for_status()
    return str(response.json()["key"])


async def create_attacker(client: httpx.AsyncClient) -> list[str]:
    """The keys of one account, in as many projects as it may create."""
    headers = await sign_up(client, "attacker")
    organization = (await client.get("/v1/organizations", headers=headers)).json()["results"][0]["id"]
    projects = [(await client.get("/v1/projects", headers=headers)).json()["results"][0]["id"]]
    for number in range(PROJECTS - 1):
        body = {"name": f"project {number}", "organization_id": organization}
        response = await client.post("/v1/projects", json=body, headers=headers)
        projects += [response.json()["id"]] if response.status_code == 201 else []
    places = itertools.islice(itertools.cycle(projects), KEYS)
    return [await create_key(client, {**headers, "X-Project-Id": project}) for project in places]


async def fill(client: httpx.AsyncClient, key: str, user_id: str, count: int) -> None:
    texts = list(itertools.islice(sentences(len(user_id)), count))
    for start in range(0, count, 100):
        messages = [{"role": "user", "content": text} for text in texts[start : start + 100]]
        body = {"messages": messages, "user_id": user_id, "infer": False}
        headers = {"Authorization": f"Token {key}"}
        (await client.post("/v3/memories/add/", json=body, headers=headers)).raise_for_status()


# ---------------------------------------------------------------- the neighbours


@dataclass
class Phase:
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: Counter[str] = field(default_factory=Counter)

    def percentile(self, operation: str, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.seconds[operation])
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Neighbour:
    def __init__(self, port: int, key: str) -> None:
        self._port, self._idle = port, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
        self._texts = sentences(port)
        self._key = key

    async def live(self, phase: Phase, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            for operation in RATES:
                group.create_task(self._repeat(operation, phase, time.monotonic() + seconds))

    async def _repeat(self, operation: str, phase: Phase, until: float) -> None:
        """An open loop: a request is sent when it is due, however long earlier ones take."""
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while due < until:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(self._measure(operation, phase, due))
                due += 1 / RATES[operation]

    async def _measure(self, operation: str, phase: Phase, due: float) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self.send(operation)
            phase.seconds[operation].append(time.monotonic() - due)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, AssertionError) as error:
            phase.seconds[operation].append(TIMEOUT_SECONDS)
            phase.failed[describe(error)] += 1

    async def send(self, operation: str) -> None:
        """On a connection that is open already, as clients do, unless the server has closed it meanwhile."""
        request_bytes = self._request(operation)
        while self._idle:
            try:
                return await self._send_on(*self._idle.pop(), request_bytes)
            except (ConnectionError, asyncio.IncompleteReadError):
                continue
        await self._send_on(*await asyncio.open_connection("127.0.0.1", self._port), request_bytes)

    async def _send_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> None:
        try:
            writer.write(content)
            await answer(reader)
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))

    def _request(self, operation: str) -> bytes:
        key, text = self._key, next(self._texts)
        if operation == "ping":
            return request("GET", "/v1/ping/", key)
        if operation == "search":
            return request("POST", "/v3/memories/search/", key, {"query": text, "filters": {"user_id": "neighbour"}})
        if operation == "add":
            return request("POST", "/v3/memories/add/", key, {"messages": text, "user_id": "neighbour", "infer": False})
        return request("POST", "/v1/chat", key, {"message": text, "user_id": "neighbour"})

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


def describe(error: BaseException) -> str:
    if isinstance(error, AssertionError):
        return str(error.args[0][9:12].decode())
    return "no answer in time" if isinstance(error, TimeoutError) else "connection closed"


@asynccontextmanager
async def open_neighbours(client: httpx.AsyncClient, port: int) -> AsyncIterator[list[Neighbour]]:
    neighbours = list[Neighbour]()
    for number in range(NEIGHBOURS):
        key = await create_key(client, await sign_up(client, f"neighbour{number}"))
        await fill(client, key, "neighbour", KNOWN_MEMORIES)
        neighbours.append(Neighbour(port, key))
    yield neighbours
    for neighbour in neighbours:
        neighbour.close()


# ---------------------------------------------------------------- measuring


@dataclass
class Measured:
    calm: Phase = field(default_factory=Phase)
    attacked: Phase = field(default_factory=Phase)
    attacker: Counter[str] = field(default_factory=Counter)
    attacker_cpu: float = 0.0
    recovery: float = 0.0
    """Seconds after an attack until the neighbours' searches are answered as before."""


async def measure(attack: str, checkout: Path, seconds: float, rounds: int) -> Measured:
    measured = Measured()
    with serving(checkout, WEBHOOK_ALLOW_PRIVATE="true") as server:
        port = server.port
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            keys = await create_attacker(client)
            if attack == "13":
                await fill(client, keys[0], "attacker", 2000)
            async with open_neighbours(client, port) as neighbours:
                await live(neighbours, Phase(), 5)
                for _ in range(rounds):
                    await live(neighbours, measured.calm, seconds)
                    attacking = asyncio.create_task(run_attack(attack, port, keys, seconds, measured))
                    await live(neighbours, measured.attacked, seconds)
                    await attacking
                    await recover(neighbours, measured)
    return measured


async def live(neighbours: list[Neighbour], phase: Phase, seconds: float) -> None:
    async with asyncio.TaskGroup() as group:
        for neighbour in neighbours:
            group.create_task(neighbour.live(phase, seconds))


async def run_attack(attack: str, port: int, keys: list[str], seconds: float, measured: Measured) -> None:
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "bench.attacks", attack, str(port), str(seconds), *keys],
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    measured.attacker += Counter(result["outcomes"])
    measured.attacker_cpu += result["cpu"]


async def recover(neighbours: list[Neighbour], measured: Measured) -> None:
    """The next phase begins when searches are as fast as before, so that it does not inherit the attack."""
    began, usual = time.monotonic(), measured.calm.percentile("search", 0.5)
    while time.monotonic() - began < MAX_RECOVERY_SECONDS:
        phase = Phase()
        await live(neighbours, phase, 1)
        if not phase.failed and phase.percentile("search", 0.5) < 2 * usual:
            break
    measured.recovery = max(measured.recovery, time.monotonic() - began)


def rows_of(attack: str, measured: Measured) -> Iterator[str]:
    for operation in RATES:
        calm, attacked = measured.calm, measured.attacked
        ratio = attacked.percentile(operation, 0.99) / calm.percentile(operation, 0.99)
        cells = [attack if operation == "ping" else "", operation]
        for share in (0.5, 0.99):
            both = (phase.percentile(operation, share) for phase in (calm, attacked))
            cells.append(" → ".join(f"{milliseconds:.0f}" for milliseconds in both))
        cells.append(f"{ratio:.1f}" if ratio <= TARGET else f"**{ratio:.1f}**")
        cells.append(summary(measured) if operation == "ping" else "")
        yield f"| {' | '.join(cells)} |"


def summary(measured: Measured) -> str:
    attacker = ", ".join(f"{outcome}: {count}" for outcome, count in measured.attacker.most_common())
    failed = sum(measured.attacked.failed.values())
    parts = [f"{attacker} ({measured.attacker_cpu:.1f} s of CPU)", f"recovered in {measured.recovery:.0f} s"]
    parts += [f"{failed} of the neighbours' requests failed: {dict(measured.attacked.failed)}"] if failed else []
    parts += [f"without attack failed: {dict(measured.calm.failed)}"] if measured.calm.failed else []
    return "; ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attacks", nargs="*", default=list(ATTACKS), help=f"some of {', '.join(ATTACKS)}")
    parser.add_argument("--seconds", type=float, default=20, help="of a phase")
    parser.add_argument("--rounds", type=int, default=2, help="of a phase without and a phase with the attack")
    parser.add_argument("--against", type=Path, default=ROOT, help="a checkout whose server is measured instead")
    given = parser.parse_args()
    print("| attack | operation | p50, ms | p99, ms | ratio | the attacker got |\n|---|---|---|---|---|---|")
    missed = list[str]()
    for attack in given.attacks:
        measured = asyncio.run(measure(attack, given.against, given.seconds, given.rounds))
        rows = list(rows_of(attack, measured))
        print("\n".join(rows), flush=True)
        missed += [attack] if any("**" in row for row in rows) else []
    if missed:
        sys.exit(f"The 99th percentile of a neighbour more than tripled under: {', '.join(missed)}")


if __name__ == "__main__":
    main()
