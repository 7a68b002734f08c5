"""Requests over plain sockets on many connections: the client must cost less than the server."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """The result of a run."""

    per_second: float
    p50: float
    p95: float
    """Milliseconds."""

    def __str__(self) -> str:
        return f"{self.per_second:7.0f}/s   p50 {self.p50:7.2f} ms   p95 {self.p95:7.2f} ms"


def request(method: str, path: str, key: str, body: object = None) -> bytes:
    return spell(method, path, {"Authorization": f"Token {key}"}, body)


def spell(method: str, path: str, headers: Mapping[str, str], body: object = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode() + content


async def drive(
    port: int, requests: Iterator[bytes], connections: int, seconds: float, check: Callable[[bytes], bool]
) -> Load:
    """Sends requests as fast as they are answered, one at a time per connection, until one is wrong."""
    taken: list[float] = []
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(ask_until(port, requests, began + seconds, taken, check))
    spent = time.perf_counter() - began
    ordered = sorted(taken)
    return Load(len(taken) / spent, statistics.median(ordered), ordered[int(len(ordered) * 0.95)])


async def ask_until(
    port: int, requests: Iterator[bytes], end: float, taken: list[float], check: Callable[[bytes], bool]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    while (start := time.perf_counter()) < end:
        writer.write(next(requests))
        body = await answer(reader)
        taken.append((time.perf_counter() - start) * 1000)
        assert check(body), body[:500]
    writer.close()
    await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    body = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    assert head.startswith(b"http/1.1 200"), head + body
    return body


async def streamed(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The parts of a streamed response as they arrive; none if it is not a stream."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" not in head:
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
