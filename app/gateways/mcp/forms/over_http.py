"""Forms for older clients over HTTP: the question goes out in the answer of the call, which stays open, and what the
person says arrives with another request, perhaps at another process.

A client learns at its handshake a session id that says that it shows forms. The server keeps nothing about it: nothing
can be taken over, and any process can serve it.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic_core import from_json
from starlette.types import Message, Receive, Scope, Send

from app.core.errors import AppError
from app.core.resources import Resources
from app.gateways.mcp.forms.older_versions import (
    NEWEST,
    NOT_ANSWERED,
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
from app.identity.caller import Caller, identify

Serve = Callable[[Scope, bytes, Receive, Send], Awaitable[None]]
SESSION = "Mcp-Session-Id"
FORMS = "forms-"
FORM_SECONDS = 600
SERVER_ERROR = -32000
LOOK_EVERY_SECONDS = 0.25
PING_EVERY_SECONDS = 15
MAX_ANSWER_BYTES = 2000
MAX_OPEN = 100
"""In one process. Beyond it, the model asks, and sends the confirmation token."""
REPLACED = (b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-session-id", b"content-length")


OPEN: set[str] = set()
"""The forms that this process waits for."""


def new_session() -> str:
    return FORMS + secrets.token_hex(16)


def has_forms(request: Request) -> bool:
    """The client repeats what it said at its handshake, and takes an answer that stays open."""
    return request.headers.get(SESSION, "").startswith(FORMS) and "text/event-stream" in request.headers.get(
        "Accept", ""
    )


@dataclass(frozen=True)
class OpenForms:
    """What people said, until the call that waits for it finds it. Only the caller that was asked can answer."""

    resources: Resources
    caller: Caller

    async def find(self, number: str) -> JsonObject | None:
        """None until the person has answered."""
        said = await self.resources.short_term.get(self._key(number))
        if said is None:
            return None
        answer: JsonObject = json.loads(said)
        return answer

    async def answer(self, message: JsonObject) -> None:
        said = json.dumps(read_answer(message)).encode()
        if len(said) > MAX_ANSWER_BYTES:
            said = json.dumps(NOT_ANSWERED).encode()
        tenant = str(self.caller.project_id)
        await self.resources.short_term.set(self._key(str(message["id"])), said, FORM_SECONDS, tenant=tenant)

    async def forget(self, number: str) -> None:
        await self.resources.short_term.delete(self._key(number))

    def _key(self, number: str) -> str:
        return f"mcp:form:{self.caller.name}:{number}"


@dataclass(frozen=True)
class CallWithForms:
    """A call that is made in the newest protocol version for an older client."""

    request: Request
    serve: Serve
    forms: OpenForms

    async def respond(self, message: JsonObject) -> Response:
        call = in_newest_version(message)
        answer = await self._exchange(call)
        if not questions_of(answer):
            return JSONResponse(in_older_version(answer))
        return StreamingResponse(self._ask(call, answer), media_type="text/event-stream")

    async def _ask(self, call: JsonObject, answer: JsonObject) -> AsyncIterator[bytes]:
        while questions := questions_of(answer):
            said: dict[str, JsonObject] = {}
            for name, form in questions.items():
                number = f"form-{secrets.token_urlsafe(24)}"
                yield event({"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": form})
                async for each in self._wait(number):
                    if each is None:
                        yield b": waiting\n\n"
                    else:
                        said[name] = each
            call = answered(call, answer, said)
            answer = await self._exchange_again(call)
        yield event(in_older_version(answer))

    async def _wait(self, number: str) -> AsyncIterator[JsonObject | None]:
        """What the person said at last; None from time to time before, so that the connection stays open."""
        ends_at, ping_at = time.monotonic() + FORM_SECONDS, time.monotonic() + PING_EVERY_SECONDS
        OPEN.add(number)
        try:
            while (said := await self.forms.find(number)) is None and time.monotonic() < ends_at:
                await asyncio.sleep(LOOK_EVERY_SECONDS)
                if time.monotonic() >= ping_at:
                    ping_at += PING_EVERY_SECONDS
                    yield None
        finally:
            OPEN.discard(number)
        await self.forms.forget(number)
        yield said or NOT_ANSWERED

    async def _exchange_again(self, call: JsonObject) -> JsonObject:
        """The caller may have lost its rights while the person thought about it."""
        del self.request.state.caller
        try:
            await identify(self.request)
        except AppError as error:
            return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": SERVER_ERROR, "message": error.detail}}
        return await self._exchange(call)

    async def _exchange(self, call: JsonObject) -> JsonObject:
        """What the server answers to a request that this process makes for the client."""
        sent: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message.get("body", b""))

        await self.serve(self._scope(call), json.dumps(call).encode(), receive, send)
        answer: JsonObject = json.loads(b"".join(sent))
        return answer

    def _scope(self, call: JsonObject) -> Scope:
        kept = [(name, value) for name, value in self.request.scope["headers"] if name not in REPLACED]
        added = [(name.lower().encode(), value.encode()) for name, value in headers_of(call, NEWEST).items()]
        return {**self.request.scope, "headers": [*kept, *added]}


def event(message: JsonObject) -> bytes:
    return b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"


@dataclass
class HandshakeWithForms:
    """Gives a client that shows forms its session id, which only says this."""

    send: Send
    handshake: Any
    start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        if self.start is not None:
            await self.send({**self.start, "headers": [*self.start["headers"], *self._session(message["body"])]})
            self.start = None
        await self.send(message)

    def _session(self, body: bytes) -> list[tuple[bytes, bytes]]:
        result = json.loads(body).get("result") if body else None
        agreed = result.get("protocolVersion") if isinstance(result, dict) else None
        return [(SESSION.lower().encode(), new_session().encode())] if shows_forms(self.handshake, agreed) else []


async def respond_with_forms(request: Request, body: bytes, serve: Serve) -> Response | None:
    """None if the message needs no form."""
    message = read_json(body)
    if not isinstance(message, dict):
        return None
    forms = OpenForms(request.app.state.resources, request.state.caller)
    if may_ask(message) and len(OPEN) < MAX_OPEN:
        return await CallWithForms(request, serve, forms).respond(message)
    if "method" not in message and str(message.get("id", "")).startswith("form-"):
        await forms.answer(message)
        return Response(status_code=202)
    return None


def read_json(body: bytes) -> Any:
    """None if it is not valid, which the server says. It reads lone surrogates as little as we can repeat them."""
    try:
        return from_json(body)
    except ValueError:
        return None
