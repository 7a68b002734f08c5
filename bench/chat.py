"""Many conversations at once: every turn is answered, stored once and never mixed up; measures the latency we add.

`python -m bench.chat` starts a server with its own data folder and a model that sends a word every 50 ms and fails one
request in twenty. Our own overhead is the time until the model receives the request, plus the time from its first word
until the client has it. The model records both on the same clock.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from bench.load import spell, streamed

ROOT = Path(__file__).parent.parent
UNLIMITED = {f"RATE_LIMIT_{who}": "1000000/minute" for who in ("AUTH", "USER", "PROJECT", "GLOBAL", "CHAT")}
TRIES = 8
WORDS = 200
"""In an answer: three short paragraphs."""
TOKEN_SECONDS = 0.05
FAILURES = 0.05
MODEL = """
import asyncio, itertools, json, socket, sys, time
import uvicorn
count, asked_at = itertools.count(), {}
def event(content):
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None if content else "stop"}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\\n\\n"
async def app(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    asked = json.loads(body) if body else {}
    name = asked["messages"][-1]["content"].split()[-1] if asked.get("stream") else ""
    asked_at.setdefault(name, time.perf_counter())
    failing = next(count) % 20 == 7
    kind = b"application/json" if failing or not asked.get("stream") else b"text/event-stream"
    await send({"type": "http.response.start", "status": 500 if failing else 200, "headers": [(b"content-type", kind)]})
    if failing or not asked.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": '{"memory": []}'}, "finish_reason": "stop"}
        answer = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
        return
    for word in [name, *[" word"] * (WORDS - 1)]:
        await asyncio.sleep(DELAY)
        word = f"{name}|{asked_at.pop(name, 0)}|{time.perf_counter()}" if word == name else word
        await send({"type": "http.response.body", "body": event(word), "more_body": True})
    await send({"type": "http.response.body", "body": event("") + b"data: [DONE]\\n\\n"})
door = socket.create_server(("127.0.0.1", 0))
print(door.getsockname()[1], flush=True)
asyncio.run(uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off")).serve([door]))
"""


@dataclass
class Figures:
    words: int
    overheads: list[float] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)
    """Of each who takes part, in milliseconds for a turn."""
    failures: int = 0
    lost: int = 0
    mixed_up: int = 0
    memory: list[int] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        return 1000 * sorted(self.overheads)[min(len(self.overheads) - 1, int(len(self.overheads) * share))]


@contextmanager
def running(command: list[str], **settings: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout:
            process.stdout.close()


def address_of(server: subprocess.Popen[str]) -> str:
    assert server.stdout
    for line in server.stdout:
        if '"serving"' in line:
            address: str = json.loads(line)["address"]
            return address
    raise RuntimeError("the server did not start")


@contextmanager
def serving(folder: Path, words: int) -> Iterator[tuple[str, int]]:
    source = MODEL.replace("WORDS", str(words)).replace("DELAY", str(TOKEN_SECONDS))
    with running([sys.executable, "-c", source]) as model:
        assert model.stdout
        url = f"http://127.0.0.1:{model.stdout.readline().strip()}/v1"
        settings = {"LLM_BASE_URL": url, "LLM_API_KEY": "key", "LLM_CONCURRENCY": "200", "LOG_FORMAT": "json"}
        settings |= {"DATA_DIR": str(folder), **UNLIMITED}
        with running([sys.executable, "-m", "app", "serve", "--port", "0"], **settings) as server:
            address = address_of(server)
            assert server.stdout
            drain = subprocess.Popen(["cat"], stdin=server.stdout, stdout=subprocess.DEVNULL)
            yield address, server.pid
        drain.wait(10)


@dataclass
class Person:
    """One person in one conversation over one connection."""

    client: httpx.AsyncClient
    session: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, name: str) -> None:
        headers = {"Authorization": self.client.headers["Authorization"], "Idempotency-Key": name}
        body = {"content": f"What about {name}", "stream": True}
        self.writer.write(spell("POST", f"/v1/sessions/{self.session}/messages", headers, body))


async def converse(client: httpx.AsyncClient, turns: int, number: int, figures: Figures) -> None:
    session = (await client.post("/v1/sessions", json={})).json()["id"]
    person = Person(client, session, *await asyncio.open_connection(client.base_url.host, client.base_url.port))
    acknowledged: list[str] = []
    for turn in range(turns):
        name = f"c{number}t{turn}"
        answer = await say(person, name, figures)
        if answer is None:
            figures.lost += 1
            continue
        acknowledged += [f"What about {name}", answer]
        figures.mixed_up += not (answer.startswith(f"{name}|") and answer.count("word") == figures.words - 1)
    person.writer.close()
    page = (await client.get(f"/v1/sessions/{session}/messages?limit=200")).json()["results"][::-1]
    stored = [message["content"] for message in page if "interrupted" not in message["metadata"]]
    figures.mixed_up += stored != acknowledged


async def say(person: Person, name: str, figures: Figures) -> str | None:
    """Repeats the message with the same key until it is answered, as a client does."""
    for attempt in range(TRIES):
        answer = await say_once(person, name, figures)
        if answer is not None:
            return answer
        figures.failures += 1
        await asyncio.sleep(0.2 * 2**attempt)
    return None


async def say_once(person: Person, name: str, figures: Figures) -> str | None:
    began, first = time.perf_counter(), 0.0
    said: str | None = None
    person.send(name)
    async for event in streamed(person.reader):
        if event.startswith(b"event: token"):
            first = first or time.perf_counter()
        elif event.startswith(b"event: message"):
            said = json.loads(event.split(b"data: ", 1)[1])["message"]["content"]
            asked_at, answered_at = map(float, said.split()[0].split("|")[1:])
            figures.overheads.append(max(asked_at - began, 0) + first - answered_at)
    return said


async def watch(pid: int, figures: Figures) -> None:
    while True:
        figures.memory.append(psutil.Process(pid).memory_info().rss >> 20)
        await asyncio.sleep(2)


async def measure(address: str, pid: int, conversations: int, turns: int, words: int) -> Figures:
    figures = Figures(words)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=httpx.Limits(max_connections=None)) as client:
        body = {"email": "ann@example.com", "password": "correct horse battery"}
        token = (await client.post("/v1/auth/signup", json=body)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        await converse(client, 1, 10**6, Figures(words))
        watching = asyncio.create_task(watch(pid, figures))
        async with asyncio.TaskGroup() as group:
            for number in range(conversations):
                group.create_task(converse(client, turns, number, figures))
                await asyncio.sleep(
                    words * TOKEN_SECONDS / conversations
                )  # The conversations start independently of each other.
        watching.cancel()
    return figures


def run(conversations: int, turns: int, words: int = WORDS) -> Figures:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), words) as (address, pid):
        return asyncio.run(measure(address, pid, conversations, turns, words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=100)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--words", type=int, default=WORDS, help="in an answer")
    given = parser.parse_args()
    figures = run(given.conversations, given.turns, given.words)
    print(f"turns answered      {len(figures.overheads)} of {given.conversations * given.turns}")
    print(f"tries that failed   {figures.failures}")
    print(f"lost, mixed up      {figures.lost}, {figures.mixed_up}")
    print(f"memory              {figures.memory[0]} → {figures.memory[-1]} MB, most {max(figures.memory)} MB")
    print(f"own overhead        median {1000 * statistics.median(figures.overheads):.0f} ms")
    print(f"                    p95 {figures.percentile(0.95):.0f} ms, p99 {figures.percentile(0.99):.0f} ms")


if __name__ == "__main__":
    main()
