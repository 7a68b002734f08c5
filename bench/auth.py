"""The cost of authentication: `python -m bench.auth`.

CPU of the server process per no-op request over HTTP on loopback, with a JWT and with an API key, beside a bare FastAPI
under the same uvicorn. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import uvicorn
import uvloop
from fastapi import FastAPI

from app.api_keys.issue import issue_key
from app.core.observability.logging import configure_logging
from app.identity.caller import CallerDep
from app.main import create_app
from app.serve import freeze_startup_objects
from app.settings import Settings
from app.wiring import open_resources

TARGETS = {"jwt": 1.5, "key": 2.0}
CONNECTIONS = 8
PLENTY = {f"RATE_LIMIT_{who}": "100000000/minute" for who in ("AUTH", "USER", "PROJECT", "GLOBAL", "CHAT")}


@dataclass(frozen=True)
class Server:
    process: psutil.Process
    port: int
    key: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


# ---------------------------------------------------------------- servers, each in its own process


async def hello() -> dict[str, str]:
    return {"status": "ok"}


async def nothing(caller: CallerDep) -> dict[str, str]:
    del caller
    return {"status": "ok"}


async def run_bare() -> None:
    app = FastAPI()
    app.add_api_route("/nothing", hello)
    await run(app, "")


async def run_keepsake() -> None:
    settings = Settings(_env_file=None)
    configure_logging(settings.log_level, as_json=False)
    async with open_resources(settings) as resources:
        key = await issue_key(resources.database, resources.key_pepper, name="bench", project_id=None)
        app = create_app(resources)
        app.add_api_route("/nothing", nothing)
        await run(app, key)


async def run(app: FastAPI, key: str) -> None:
    """Starts uvicorn the way app/serve.py does."""
    door = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, lifespan="off")
    freeze_startup_objects()
    print(json.dumps({"port": door.getsockname()[1], "key": key}), file=sys.stderr, flush=True)
    await uvicorn.Server(config).serve([door])


@contextmanager
def serving(which: str, data_dir: Path) -> Iterator[Server]:
    environment = {**os.environ, **PLENTY, "DATA_DIR": str(data_dir), "LOG_FORMAT": "text"}
    command = [sys.executable, "-m", "bench.auth", "--serve", which]
    with (data_dir / f"{which}.log").open("w") as log:
        child = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.PIPE, text=True)
    assert child.stderr
    said = ""
    while not said.startswith("{"):
        said = child.stderr.readline()
        assert said, f"the server did not start: see {log.name}"
    try:
        yield Server(psutil.Process(child.pid), **json.loads(said))
    finally:
        child.terminate()
        child.communicate()


# ---------------------------------------------------------------- requests


async def send_requests(server: Server, credential: str, requests: int) -> float:
    """Milliseconds of CPU per request."""
    lines = ["GET /nothing HTTP/1.1", "Host: bench", f"Authorization: Bearer {credential}", "", ""]
    request = "\r\n".join(lines).encode()
    before = server.cpu()
    share = requests // CONNECTIONS
    await asyncio.gather(*(ask_on_one_connection(server.port, request, share) for _ in range(CONNECTIONS)))
    return (server.cpu() - before) * 1000 / (share * CONNECTIONS)


async def ask_on_one_connection(port: int, request: bytes, times: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(times):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    writer.close()
    await writer.wait_closed()


def sign_up(server: Server) -> str:
    body = {"email": "bench@example.com", "password": "correct horse battery"}
    token: str = httpx.post(f"{server.address}/v1/auth/signup", json=body).raise_for_status().json()["access_token"]
    return token


async def measure(keepsake: Server, bare: Server, requests: int, rounds: int) -> dict[str, float]:
    """The servers take turns, so that a busy moment of the machine affects each. The median round counts."""
    who = {"bare": (bare, "nobody"), "jwt": (keepsake, sign_up(keepsake)), "key": (keepsake, keepsake.key)}
    figures: dict[str, list[float]] = {name: [] for name in who}
    for server, credential in who.values():
        await send_requests(server, credential, 200)
    for _ in range(rounds):
        for name, (server, credential) in who.items():
            figures[name].append(await send_requests(server, credential, requests))
    return {name: round(statistics.median(found), 3) for name, found in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=["bare", "keepsake"], help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.serve:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_bare() if options.serve == "bare" else run_keepsake())
        return
    with (
        tempfile.TemporaryDirectory(prefix="keepsake-bench-") as folder,
        serving("keepsake", Path(folder)) as keepsake,
        serving("bare", Path(folder)) as bare,
    ):
        found = asyncio.run(measure(keepsake, bare, options.requests, options.rounds))
    for name, milliseconds in found.items():
        target = f"   target < {TARGETS[name]} ms" if name in TARGETS else ""
        print(f"{name:5} {milliseconds:6.3f} ms of CPU a request{target}")
    print(json.dumps({"bench": "auth", "cpu_ms": found, "targets": TARGETS}))


if __name__ == "__main__":
    main()
