"""A webhook receiver on loopback that accepts, fails, hangs, redirects or answers endlessly, as a test needs."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

HANGS, REDIRECTS, ENDLESS = "hangs", "redirects", "endless"


@dataclass
class Receiver:
    url: str = ""
    next: deque[int | str] = field(default_factory=deque)
    """How the next requests are answered. Later ones get `usual`."""
    usual: int | str = 200
    accepted: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of all requests that were answered with 200."""
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    requests: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests += 1
        behaviour = self.next.popleft() if self.next else self.usual
        if behaviour == HANGS:
            await reader.read()
            return
        if behaviour == 200:
            self.accepted.append(json.loads(body))
            self.headers.append(headers)
            self.bodies.append(body)
        writer.write(reply(behaviour, self.url))
        await writer.drain()


def reply(behaviour: int | str, url: str) -> bytes:
    if behaviour == REDIRECTS:
        return f"HTTP/1.1 307 Moved\r\nLocation: {url}elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    if behaviour == ENDLESS:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000
    return f"HTTP/1.1 {behaviour} Word\r\nContent-Length: 0\r\n\r\n".encode()


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield receiver
    finally:
        server.close()
