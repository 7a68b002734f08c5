"""The attacks of `bench.neighbour`, in a process of their own: `python -m bench.attacks ATTACK PORT SECONDS KEY…`.

The last line is a JSON object with the number of responses by status and the CPU seconds that the attacker used. It
runs at a low priority, because client, server and attacker share two cores.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.corpus import sentences
from bench.load import request, spell

WORDS = list(itertools.islice(sentences(9), 5000))
NICENESS = 10


@dataclass
class Attacker:
    port: int
    keys: list[str]
    until: float
    outcomes: Counter[str] = field(default_factory=Counter)

    def running(self) -> bool:
        return time.monotonic() < self.until

    async def repeat(self, requests: Iterator[bytes], connections: int, pause: float = 0.0) -> None:
        """Sends the requests over so many connections, each after the response to the one before and a pause."""
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self.repeat_on_one(requests, pause))

    async def repeat_on_one(self, requests: Iterator[bytes], pause: float) -> None:
        while self.running():
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + self.until - time.monotonic()):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
                    while self.running():
                        writer.write(next(requests))
                        await writer.drain()
                        self.outcomes[await read_status(reader)] += 1
                        await asyncio.sleep(pause)
            except TimeoutError:
                self.outcomes["no answer"] += 1
            except (OSError, asyncio.IncompleteReadError):
                self.outcomes["connection closed"] += 1
                await asyncio.sleep(max(pause, 0.05))


async def read_status(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    elif b"content-length:" in head:
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    return head.split(b" ", 2)[1].decode()


def long_text(length: int) -> str:
    text = ". ".join(random.sample(WORDS, min(len(WORDS), length // 40)))
    return (text * (length // len(text) + 1))[:length]


# ---------------------------------------------------------------- the attacks


async def large_adds(attacker: Attacker) -> None:
    """12: adds of 40 messages of 90 kB each, stored verbatim."""
    messages = [{"role": "user", "content": long_text(90_000)} for _ in range(40)]

    def adds() -> Iterator[bytes]:
        for number in itertools.count():
            messages[0]["content"] = f"{number} {messages[0]['content']}"[:90_000]
            body = {"messages": messages, "user_id": f"attacker {number}", "infer": False}
            yield request("POST", "/v3/memories/add/", attacker.keys[0], body)

    await attacker.repeat(adds(), 1, pause=4)


async def expensive_filters(attacker: Attacker) -> None:
    """13: twelve requests at a time with a filter of 495 text conditions."""
    conditions = [{"keywords": {"icontains": f"no {number} such words here"}} for number in range(495)]
    body = {"filters": {"AND": [{"user_id": "attacker"}, {"OR": conditions}]}}
    await attacker.repeat(itertools.repeat(request("POST", "/v3/memories/", attacker.keys[0], body)), 12)


async def long_queries(attacker: Attacker) -> None:
    """14: queries of 20,000 characters on 24 connections."""

    def queries() -> Iterator[bytes]:
        while True:
            body = {"query": long_text(20_000), "filters": {"user_id": "attacker"}}
            yield request("POST", "/v3/memories/search/", attacker.keys[0], body)

    await attacker.repeat(queries(), 24)


async def unauthenticated_bodies(attacker: Attacker) -> None:
    """15: three connections that send bodies of 4 MB with a wrong credential."""
    body = {"messages": [{"role": "user", "content": "word"} for _ in range(90_000)]}
    wrong = request("POST", "/v3/memories/add/", "m0-wrong", body)
    await attacker.repeat(itertools.repeat(wrong), 3, pause=0.1)


async def endless_headers(attacker: Attacker) -> None:
    """16: 500 connections whose header sections never end: half of them slow, half of them long."""
    line = b"X-Padding: " + b"a" * 4000 + b"\r\n"
    async with asyncio.TaskGroup() as group:
        for number in range(500):
            group.create_task(send_headers(attacker, b"X: y\r\n" if number % 2 else line))


async def send_headers(attacker: Attacker, line: bytes) -> None:
    await asyncio.sleep(random.random())
    while attacker.running():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", attacker.port)
            writer.write(b"GET /v1/ping/ HTTP/1.1\r\nHost: bench\r\n")
            while attacker.running():
                writer.write(line)
                await writer.drain()
                await asyncio.sleep(1)
            writer.close()
            attacker.outcomes["still open"] += 1
        except OSError:
            attacker.outcomes["connection closed"] += 1
            await asyncio.sleep(1)


async def flood(attacker: Attacker) -> None:
    """17: one account with 40 keys in 20 projects sends 400 requests a second."""
    pings = itertools.cycle([request("GET", "/v1/ping/", key) for key in attacker.keys])
    await attacker.repeat(pings, 20, pause=0.05)


async def webhooks(attacker: Attacker) -> None:
    """18: 60 webhooks whose receiver takes two seconds, and 100 memories every five seconds."""
    async with slow_receiver() as address:
        await create_webhooks(attacker, address, 60)

        def adds() -> Iterator[bytes]:
            for number in itertools.count():
                messages = [{"role": "user", "content": f"{number} {text}"} for text in random.sample(WORDS, 100)]
                body = {"messages": messages, "user_id": "attacker", "infer": False}
                yield request("POST", "/v3/memories/add/", attacker.keys[0], body)

        await attacker.repeat(adds(), 1, pause=5)


async def create_webhooks(attacker: Attacker, address: str, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", attacker.port)
    writer.write(request("GET", "/v1/ping/", attacker.keys[0]))
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    body = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    path = f"/api/v1/webhooks/projects/{json.loads(body)['project_id']}/"
    for number in range(count):
        webhook = {"url": f"{address}{number}", "name": f"hook {number}", "event_types": ["memory_add"]}
        writer.write(request("POST", path, attacker.keys[0], webhook))
        attacker.outcomes[f"webhook: {await read_status(reader)}"] += 1
    writer.close()


@asynccontextmanager
async def slow_receiver() -> AsyncIterator[str]:
    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n"):
                await asyncio.sleep(2)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                writer.close()
                return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return  # The attack is over.

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def health_routes(attacker: Attacker) -> None:
    """19: /metrics and /v1/ready in a loop on 16 connections, without a credential."""
    paths = itertools.cycle([spell("GET", path, {}) for path in ("/metrics", "/v1/ready")])
    await attacker.repeat(paths, 16)


async def expensive_chats(attacker: Attacker) -> None:
    """20: chat turns that ask for another model and 32,000 tokens."""

    def chats() -> Iterator[bytes]:
        for number in itertools.count():
            body = {"message": f"Tell me {number} at length", "user_id": f"attacker {number}", "stream": True}
            chosen = {"model": "expensive", "max_tokens": 32_000}
            yield request("POST", "/v1/chat", attacker.keys[number % len(attacker.keys)], {**body, **chosen})

    await attacker.repeat(chats(), 48, pause=0.5)


ATTACKS: dict[str, Callable[[Attacker], Awaitable[None]]] = {
    "12": large_adds,
    "13": expensive_filters,
    "14": long_queries,
    "15": unauthenticated_bodies,
    "16": endless_headers,
    "17": flood,
    "18": webhooks,
    "19": health_routes,
    "20": expensive_chats,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attack", choices=ATTACKS)
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("keys", nargs="+")
    given = parser.parse_args()
    os.nice(NICENESS)
    attacker = Attacker(given.port, given.keys, time.monotonic() + given.seconds)
    asyncio.run(run(attacker, ATTACKS[given.attack]))
    print(json.dumps({"outcomes": attacker.outcomes, "cpu": time.process_time()}))


async def run(attacker: Attacker, attack: Callable[[Attacker], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(attacker.until - time.monotonic() + 1):
            await attack(attacker)
    except TimeoutError:
        attacker.outcomes["cut off"] += 1


if __name__ == "__main__":
    main()
