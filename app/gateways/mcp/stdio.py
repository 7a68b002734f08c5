"""MCP over standard input and output: a bridge to /mcp of a running server, whose rules all apply.

Each line is one message. The package `mcp` is not needed here, so a client that starts this command waits for little.
"""

import asyncio
import itertools
import json
import os
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

import httpx

from app.core.errors import ConfigurationError
from app.gateways.mcp.forms.older_versions import (
    NOT_ANSWERED,
    VERSION_KEY,
    answered,
    headers_of,
    in_newest_version,
    in_older_version,
    may_ask,
    questions_of,
    read_answer,
    shows_forms,
)
from app.gateways.mem0.responses import JsonObject

MAX_LINE_BYTES = 16 << 20
TIMEOUT_SECONDS = 120
FORM_SECONDS = 600
PARSE_ERROR, INVALID_REQUEST, NOT_REACHED = -32700, -32600, -32000
NOT_JSON = "This line is not JSON. Send one message in each line."
TOO_LONG = f"This line is longer than {MAX_LINE_BYTES >> 20} MB. Send less at once."
NO_MESSAGE = "This line is not one message. Send an object with `method`, and an `id` that is a string or an integer."
Message = JsonObject


@dataclass
class Bridge:
    http: httpx.AsyncClient
    url: str
    write: Callable[[bytes], object]
    version: str | None = None
    """The protocol version that the handshake agreed on. Later versions name it in each message."""
    has_forms: bool = False
    running: dict[object, "asyncio.Task[None]"] = field(default_factory=dict)
    asked: dict[object, "asyncio.Future[Message]"] = field(default_factory=dict)
    """The forms that the client shows now, by the id of their request."""
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def serve(self, lines: asyncio.StreamReader) -> None:
        async with asyncio.TaskGroup() as tasks:
            while line := await read_line(lines):
                if line.strip():
                    await self._accept(line, tasks)
            for shown in self.asked.values():
                shown.cancel()

    async def _accept(self, line: bytes, tasks: asyncio.TaskGroup) -> None:
        """No line ends the bridge: a client would lose the answers that it waits for."""
        if len(line) > MAX_LINE_BYTES:
            self._write(error_of(None, PARSE_ERROR, TOO_LONG))
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._write(error_of(None, PARSE_ERROR, NOT_JSON))
            return
        if not is_message(message):
            self._write(error_of(None, INVALID_REQUEST, NO_MESSAGE))
        elif message.get("method") == "notifications/cancelled":
            self._cancel(message.get("params"))
        elif "method" not in message and (shown := self.asked.pop(message.get("id"), None)):
            if not shown.done():  # its call may have been cancelled
                shown.set_result(read_answer(message))
        elif message.get("method") == "initialize":
            # The version that it agrees on is part of all that follows.
            await self._forward(message, line)
        else:
            self._start(message, line, tasks)

    def _start(self, message: Message, line: bytes, tasks: asyncio.TaskGroup) -> None:
        task = tasks.create_task(self._forward(message, line))
        number = message.get("id")
        if number is not None:
            self.running[number] = task
            task.add_done_callback(lambda _: self.running.pop(number, None))

    def _cancel(self, params: object) -> None:
        number = params.get("requestId") if isinstance(params, dict) else None
        if isinstance(number, int | str) and (task := self.running.get(number)):
            task.cancel()

    async def _forward(self, message: Message, line: bytes) -> None:
        if self.has_forms and may_ask(message):
            answer = await self._call_with_forms(message)
        else:
            answer = await self._exchange(message, line)
        if answer is None:
            return
        if message.get("method") == "initialize" and "result" in answer:
            self.version = answer["result"]["protocolVersion"]
            self.has_forms = shows_forms(message, self.version)
        self._write(answer)

    async def _exchange(self, message: Message, line: bytes) -> Message | None:
        """None if there is nothing to answer."""
        number = message.get("id")
        try:
            response = await self.http.post(self.url, content=line, headers=self._headers(message))
        except (httpx.ReadError, httpx.WriteError):
            return error_of(number, NOT_REACHED, f"{self.url} ended the connection. {len(line)} bytes may be too much.")
        except httpx.HTTPError:
            return error_of(number, NOT_REACHED, f"No server answers at {self.url}. Start it, or set KEEPSAKE_URL.")
        if response.status_code == httpx.codes.ACCEPTED or number is None:
            return None
        try:
            # A request that is refused before it is read is answered without its id.
            return {**response.json(), "id": number}
        except (ValueError, TypeError):
            return error_of(number, NOT_REACHED, f"{self.url} is not an MCP server of Keepsake. Set KEEPSAKE_URL.")

    async def _call_with_forms(self, message: Message) -> Message | None:
        """The server does not hear of the forms that an older client shows: it asks, and is called again."""
        call = in_newest_version(message)
        answer = await self._exchange(call, json.dumps(call).encode())
        while answer is not None and (questions := questions_of(answer)):
            said = {name: await self._ask(form) for name, form in questions.items()}
            call = answered(call, answer, said)
            answer = await self._exchange(call, json.dumps(call).encode())
        return in_older_version(answer) if answer is not None else None

    async def _ask(self, form: Message) -> Message:
        """What the person says; nothing if they take longer than the question is valid."""
        number = f"keepsake-{next(self.numbers)}"
        said: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.asked[number] = said
        self._write({"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": form})
        try:
            async with asyncio.timeout(FORM_SECONDS):
                return await said
        except TimeoutError:
            return NOT_ANSWERED
        finally:
            self.asked.pop(number, None)

    def _headers(self, message: Message) -> dict[str, str]:
        """What the transport over HTTP repeats of a message."""
        params = message.get("params")
        meta = params.get("_meta") if isinstance(params, Mapping) else None
        version = meta.get(VERSION_KEY) if isinstance(meta, Mapping) else None
        if not isinstance(version, str):
            return {"MCP-Protocol-Version": self.version} if self.version else {}
        return headers_of(message, version)

    def _write(self, message: Message) -> None:
        self.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


async def read_line(lines: asyncio.StreamReader) -> bytes:
    """Empty at the end. A line that is too long is read to its end, and returned as longer than it may be."""
    skipped = b""
    while True:
        try:
            return skipped + await lines.readuntil()
        except asyncio.IncompleteReadError as error:
            return skipped + error.partial
        except asyncio.LimitOverrunError as error:
            skipped = await lines.readexactly(error.consumed)


def is_message(value: object) -> TypeGuard[Message]:
    """A request, a notification or an answer."""
    if not isinstance(value, dict):
        return False
    number = value.get("id")
    return number is None or (isinstance(number, int | str) and not isinstance(number, bool))


def error_of(number: object, code: int, message: str) -> Message:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


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
