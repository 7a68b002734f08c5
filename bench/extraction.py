"""How fast inferred adds are extracted, over HTTP: `python -m bench.extraction [--checkout OLD . ]`.

One server process for each checkout as `python -m app serve` starts it, with a model that answers at once and returns
one fact for each message. Clients, model, server and Postgres share the machine. The last line is one JSON object.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import uvloop

from bench.http import PLENTY, cpu, wait_for_port
from bench.load import answer, request

USERS = 8
WARM_UP = 16
WORDS = itertools.count()
MESSAGE = re.compile(r"(?:\[(\d+)\] )?I noted that (\w+ is number \d+)")
Figures = dict[str, float]


# ---------------------------------------------------------------- the model


class InstantModel(threading.Thread):
    """Finds the messages of this benchmark in the prompt, numbered or not, and answers with one fact for each."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.requests = 0
        self.port = 0
        self.listening = threading.Event()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, limit=1 << 24)
        self.port = server.sockets[0].getsockname()[1]
        self.listening.set()
        await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await read_head(reader):
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            content = completion(body) if body else b'{"object": "list", "data": []}'
            self.requests += b'"json_object"' in body
            lines = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(lines.encode() + content)
        writer.close()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def completion(body: bytes) -> bytes:
    prompt = str(json.loads(body)["messages"][-1]["content"])
    memory = [
        {"text": f"The user noted that {words}", **({"source": int(source)} if source else {})}
        for source, words in MESSAGE.findall(prompt)
    ]
    message = {"role": "assistant", "content": json.dumps({"memory": memory})}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    base = {"id": "1", "object": "chat.completion", "created": 0, "model": "instant"}
    return json.dumps({**base, "choices": [choice], "usage": usage}).encode()


# ---------------------------------------------------------------- the clients


class Client:
    """One connection. The text of each add is new."""

    def __init__(self, port: int, key: str, user: str) -> None:
        self._port, self._key, self._user = port, key, user

    async def __aenter__(self) -> "Client":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def call(self, method: str, path: str, body: object = None) -> dict[str, object]:
        self._writer.write(request(method, path, self._key, body))
        content: dict[str, object] = json.loads(await answer(self._reader))
        return content

    async def add(self, count: int) -> None:
        for _ in range(count):
            number = next(WORDS)
            text = f"I noted that item{number} is number {number * 7919 % 100_003}"
            await self.call("POST", "/v3/memories/add/", {"messages": text, "user_id": self._user})

    async def wait(self) -> None:
        """Until no event waits or runs."""
        for status in ("PENDING", "RUNNING", "PENDING"):
            while (await self.call("GET", f"/v1/events/?status={status}&page_size=1"))["count"]:  # noqa: ASYNC110
                await asyncio.sleep(0.03)

    async def failures(self) -> object:
        return (await self.call("GET", "/v1/events/?status=FAILED&page_size=1"))["count"]


async def extract(port: int, key: str, users: Sequence[str], each: int) -> float:
    """Seconds until the adds of all users, one client each, are extracted."""
    async with Client(port, key, "watcher") as watcher:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(add_as(port, key, user, each))
        await watcher.wait()
        assert not await watcher.failures()
        return time.perf_counter() - began


async def add_as(port: int, key: str, user: str, count: int) -> None:
    async with Client(port, key, user) as client:
        await client.add(count)


# ---------------------------------------------------------------- one checkout


@contextmanager
def serving(checkout: Path, folder: Path, model: InstantModel) -> Iterator[tuple[psutil.Process, int, str]]:
    url = f"http://127.0.0.1:{model.port}/v1"
    environment = {**os.environ, **PLENTY, "LOG_FORMAT": "json", "LOG_LEVEL": "WARNING", "LLM_BASE_URL": url}
    environment |= {"LLM_API_KEY": "none", "LLM_MODEL": "instant", "DATA_DIR": str(folder)}
    command = [sys.executable, "-m", "app"]
    made = subprocess.run(
        [*command, "keys", "create"], env=environment, cwd=checkout, capture_output=True, text=True, check=True
    )
    log = folder / "bench.log"
    with log.open("w") as file:
        child = subprocess.Popen(
            [*command, "serve", "--port", "0"],
            env={**environment, "LOG_LEVEL": "INFO"},
            cwd=checkout,
            stdout=file,
            stderr=file,
        )
    try:
        yield psutil.Process(child.pid), wait_for_port(child, log), made.stdout.split()[-1]
    finally:
        child.terminate()
        child.wait()


async def measure(checkout: Path, folder: Path, model: InstantModel, each: int) -> Figures:
    with serving(checkout, folder, model) as (server, port, key):
        users = [f"user{number}" for number in range(USERS)]
        await extract(port, key, users, WARM_UP // USERS)
        before, asked = sum(cpu(server, folder)), model.requests
        seconds = await extract(port, key, users, each)
        count = each * USERS
        figures = {
            "per_second": count / seconds,
            "cpu_ms": (sum(cpu(server, folder)) - before) * 1000 / count,
            "model_requests": (model.requests - asked) / count,
            "twelve_of_one_user_s": await extract(port, key, ["single"], 12),
        }
    return {name: round(value, 2) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", type=Path, nargs="+", default=[Path()], help="measured one after the other")
    parser.add_argument("--adds", type=int, default=40, help="of each of the eight users")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    model = InstantModel()
    model.start()
    model.listening.wait()
    figures: dict[str, list[Figures]] = {str(checkout): [] for checkout in options.checkout}
    for _ in range(options.rounds):
        for checkout in options.checkout:
            with (
                tempfile.TemporaryDirectory(prefix="keepsake-bench-") as folder,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                found = runner.run(measure(checkout.absolute(), Path(folder), model, options.adds))
            print(f"{checkout!s:20} {found}", flush=True)
            figures[str(checkout)].append(found)
    print(json.dumps({"bench": "extraction", "adds": options.adds, "figures": figures}))


if __name__ == "__main__":
    main()
