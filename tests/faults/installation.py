"""A whole installation as an operator runs it, whose parts a test kills: API, worker and Postgres."""

import asyncio
import contextlib
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import httpx
import psutil
import psycopg

from app.adapters.embedded_postgres import EmbeddedPostgres
from tests.e2e.server import ROOT, KeepsakeServer, environment, launch_server


class Victim(StrEnum):
    API = "API"
    WORKER = "worker"
    POSTMASTER = "Postgres"
    BACKEND = "a backend of Postgres"
    EVERYTHING = "everything at once"


@dataclass
class Installation:
    """With `split`, jobs run in a process of their own, and the index is in Postgres."""

    data_dir: Path
    split: bool
    settings: dict[str, str]
    port: int
    api: KeepsakeServer | None = None
    worker: "subprocess.Popen[bytes] | None" = None
    kills: list[tuple[float, Victim]] = field(default_factory=list)
    failed_starts: list[str] = field(default_factory=list)
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def victims(self) -> list[Victim]:
        return list(Victim) if self.split else [each for each in Victim if each is not Victim.WORKER]

    async def supervise(self) -> None:
        """Starts processes that ended again, as systemd does."""
        while True:
            if self.api is None or self.api.process.poll() is not None:
                await self._start_api()
            if self.split and (self.worker is None or self.worker.poll() is not None):
                self._start_worker()
            await asyncio.sleep(0.2)

    async def _start_api(self) -> None:
        if self.api:
            await asyncio.to_thread(self.api.wait)
        self.api = launch_server(self.data_dir, "--port", str(self.port), **self.settings)
        kills = len(self.kills)
        async with self.starting:
            await asyncio.to_thread(self.api.listen)
        if not self.api.address and len(self.kills) == kills:
            self.failed_starts.append("".join(self.api.output[-3:]))

    def _start_worker(self) -> None:
        with (self.data_dir / "worker.log").open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "app", "worker"],
                cwd=ROOT,
                env=environment(self.data_dir, **self.settings),
                stdout=log,
                stderr=log,
            )

    def postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0]))

    def kill(self, victim: Victim, chance: random.Random) -> None:
        """SIGKILL: no process gets an opportunity to tidy up."""
        self.kills.append((time.monotonic(), victim))
        everything = victim is Victim.EVERYTHING
        if (everything or victim is Victim.API) and self.api:
            self.api.process.kill()
        if (everything or victim is Victim.WORKER) and self.worker:
            self.worker.kill()
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, IndexError):
            if everything or victim is Victim.POSTMASTER:
                self.postmaster().kill()
            elif victim is Victim.BACKEND:
                backends = [each for each in self.postmaster().children() if "keepsake_app" in " ".join(each.cmdline())]
                chance.choice(backends).kill()

    async def stop(self) -> None:
        if self.worker and self.worker.poll() is None:
            self.worker.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self.worker.wait, 60)
        if self.api and self.api.process.poll() is None:
            self.api.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self.api.process.wait, 60)
            except subprocess.TimeoutExpired:
                self.api.process.send_signal(signal.SIGABRT)  # With PYTHONFAULTHANDLER, it prints where it hangs.
                await asyncio.to_thread(self.api.wait)
                raise AssertionError("".join(self.api.output[-60:])) from None
        if self.api:
            await asyncio.to_thread(self.api.wait)

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """Postgres as the superuser, to whom row-level security does not apply."""
        url = EmbeddedPostgres(self.data_dir).url("postgres").replace("+psycopg", "")
        return psycopg.connect(url, autocommit=True)

    def create_key(self) -> str:
        command = [sys.executable, "-m", "app", "keys", "create"]
        settings = environment(self.data_dir, **self.settings)
        done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]


@asynccontextmanager
async def running_installation(data_dir: Path, *, split: bool, **settings: str) -> AsyncIterator[Installation]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    await asyncio.to_thread(data_dir.mkdir, mode=0o700, exist_ok=True)
    if split:
        settings |= {"WORKER": "false", "VECTOR_STORE": "pgvector"}
    installation = Installation(data_dir, split, {**settings, "PYTHONFAULTHANDLER": "1"}, port)
    supervisor = asyncio.create_task(installation.supervise())
    try:
        yield installation
    finally:
        async with installation.starting:
            supervisor.cancel()
        await asyncio.wait([supervisor])
        await installation.stop()


async def wait_until_ready(installation: Installation, seconds: float = 120) -> None:
    answer, until = "", time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=installation.address, timeout=5) as client:
        while time.monotonic() < until:
            try:
                response = await client.get("/v1/ready")
                if response.status_code == 200:
                    return
                answer = response.text
            except httpx.TransportError as error:
                answer = repr(error)
            await asyncio.sleep(0.2)
    output = installation.api.output[-20:] if installation.api else []
    raise AssertionError(f"not ready after {seconds:.0f} s: {answer}\n{''.join(output)}")
