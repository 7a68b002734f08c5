"""MCP over standard input and output: a bridge to /mcp of a running server, whose rules all apply.

Each line is one message. The package `mcp` is not needed here, so a client that starts this command waits for little.
"""

import asyncio
import base64
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from app.core.errors import ConfigurationError
from app.gateways.mem0.responses import JsonObject

MAX_LINE_BYTES = 16 << 20
TIMEOUT_SECONDS = 120
MODERN_VERSION = "io.modelcontextprotocol/protocolVersion"
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
PLAIN = re.compile(r"(?! )[\x20-\x7E]*(?<! )")
PARSE_ERROR, NOT_REACHED = -32700, -32000
Message = JsonObject


@dataclass
class Bridge:
    http: httpx.AsyncClient
    url: str
    write: Callable[[bytes], object]
    version: str | None = None
    """The protocol version that the handshake agreed on. Later versions name it in each message."""
    running: dict[object, "asyncio.Task[None]"] = field(default_factory=dict)

    async def serve(self, lines: asyncio.StreamReader) -> None:
        async with asyncio.TaskGroup() as tasks:
            while line := await lines.readline():
                if line.strip():
                    await self._accept(line, tasks)

    async def _accept(self, line: bytes, tasks: asyncio.TaskGroup) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self._answer_error(None, PARSE_ERROR, "This line is not JSON. Send one message in each line.")
            return
        method = message.get("method") if isinstance(message, dict) else None
        if method == "notifications/cancelled":
            self._cancel((message.get("params") or {}).get("requestId"))
        elif method == "initialize":
            # The version that it agrees on is part of all that follows.
            await self._forward(message, line)
        else:
            self._start(message, line, tasks)

    def _start(self, message: Message, line: bytes, tasks: asyncio.TaskGroup) -> None:
        task = tasks.create_task(self._forward(message, line))
        number = message.get("id") if isinstance(message, dict) else None
        if number is not None:
            self.running[number] = task
            task.add_done_callback(lambda _: self.running.pop(number, None))

    def _cancel(self, number: object) -> None:
        if isinstance(number, int | str) and (task := self.running.get(number)):
            task.cancel()

    async def _forward(self, message: Message, line: bytes) -> None:
        number = message.get("id") if isinstance(message, dict) else None
        try:
            response = await self.http.post(self.url, content=line, headers=self._headers(message))
        except httpx.HTTPError:
            self._answer_error(number, NOT_REACHED, f"No server answers at {self.url}. Start it, or set KEEPSAKE_URL.")
            return
        if response.status_code == httpx.codes.ACCEPTED or number is None:
            return
        try:
            answer = response.json()
        except ValueError:
            self._answer_error(number, NOT_REACHED, f"{self.url} is not an MCP server of Keepsake. Set KEEPSAKE_URL.")
            return
        if message.get("method") == "initialize" and "result" in answer:
            self.version = answer["result"]["protocolVersion"]
        # A request that is refused before it is read is answered without its id.
        self._write({**answer, "id": number})

    def _headers(self, message: object) -> dict[str, str]:
        """What the transport over HTTP repeats of a message."""
        if not isinstance(message, dict):
            return {}
        params = message.get("params")
        params = params if isinstance(params, Mapping) else {}
        meta = params.get("_meta")
        version = meta.get(MODERN_VERSION) if isinstance(meta, Mapping) else None
        if not isinstance(version, str):
            return {"MCP-Protocol-Version": self.version} if self.version else {}
        method = str(message.get("method"))
        name = params.get(NAMED_BY.get(method, ""))
        named = {"Mcp-Name": _header_value(name)} if isinstance(name, str) else {}
        return {"MCP-Protocol-Version": version, "Mcp-Method": _header_value(method), **named}

    def _answer_error(self, number: object, code: int, message: str) -> None:
        self._write({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}})

    def _write(self, message: Message) -> None:
        self.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def _header_value(text: str) -> str:
    return text if PLAIN.fullmatch(text) else f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def _can_be_watched(mode: int, *, is_terminal: bool) -> bool:
    """uvloop aborts the process for a file, and for a device such as /dev/null."""
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or is_terminal


async def serve_stdio(url: str, key: str, headers: Mapping[str, str]) -> None:
    """Ends with the standard input."""
    if not _can_be_watched(os.fstat(sys.stdin.fileno()).st_mode, is_terminal=sys.stdin.isatty()):
        raise ConfigurationError(
            "The standard input must be a pipe, a socket or a terminal: let an MCP client start this"
        )
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer)

    def write(line: bytes) -> None:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()

    sent = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **headers,
    }
    encoded = {name.encode(): value.encode() for name, value in sent.items()}
    async with httpx.AsyncClient(headers=encoded, timeout=TIMEOUT_SECONDS) as http:
        await Bridge(http, f"{url.rstrip('/')}/mcp", write).serve(lines)
