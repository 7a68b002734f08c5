"""uvicorn's HTTP protocol with limits, which hold without a proxy in front of the server."""

import asyncio
import json
from enum import Enum, auto
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import get_remote_addr

from app.core.http.connection_limits import ConnectionLimits
from app.core.observability.metrics import CONNECTIONS_REFUSED

TOO_MANY = "This server has too many connections, or too many from your address. Close some, or retry in a moment."
LARGE_HEAD = "The request line and headers are larger than 64 kB, or there are more than 200 headers. Send fewer."
SLOW_HEAD = "The headers of the request did not arrive in time. Send them at once."
SLOW_BODY = "The body of the request arrives too slowly. Send it faster, or in smaller requests."
CODES = {408: "timed_out", 431: "too_large", 503: "unavailable"}


class Phase(Enum):
    HEAD = auto()
    BODY = auto()
    RECEIVED = auto()


class LimitedProtocol(HttpToolsProtocol):
    limits: ClassVar[ConnectionLimits]

    _address: str | None = None
    _phase = Phase.RECEIVED
    _deadline = 0.0
    """When the phase HEAD must end."""
    _body_started_at = 0.0
    _answered_at = 0.0
    """When a response was complete before its request was. The rest of the body is ignored."""
    _received = 0
    """Bytes of the current head, or of the current body."""
    _stalled_since = 0.0
    _closing_since = 0.0

    # ---------------------------------------------------------------- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host, _ = get_remote_addr(transport) or ("", 0)
        self._address = self.limits.add(self, host)
        if self._address is None:
            self._refuse(503, TOO_MANY, reason="too_many")
        self._phase = Phase.HEAD
        self._deadline = self.loop.time() + self.limits.rules.head_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        if self._address is not None:
            self.limits.remove(self, self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_head = self._phase is Phase.HEAD
        super().data_received(data)
        if self._phase is Phase.HEAD:
            self._received = self._received + len(data) if was_head else 0
            if self._received > self.limits.rules.head_bytes:
                self._refuse(431, LARGE_HEAD, reason="large_head")
        elif self._phase is Phase.BODY:
            self._received += len(data)
            if self._answered_at and self._received > self.limits.rules.unread_bytes:
                self._close("unread_body")

    def pause_writing(self) -> None:
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_since = 0.0
        super().resume_writing()

    # ---------------------------------------------------------------- the request

    def on_message_begin(self) -> None:
        if self._phase is not Phase.HEAD:  # the first request began with the connection
            self._phase = Phase.HEAD
            self._deadline = self.loop.time() + self.limits.rules.head_seconds
        self._received = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is Phase.HEAD:  # the trailers of a body would be added to the headers without end
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.transport.is_closing():
            return
        self._phase = Phase.BODY
        self._received = 0
        self._body_started_at = self.loop.time()
        self._answered_at = 0.0
        rules = self.limits.rules
        if len(self.headers) > rules.headers or self._head_bytes() > rules.head_bytes:
            self._refuse(431, LARGE_HEAD, reason="large_head")
        elif len(self.pipeline) >= rules.pipelined_requests:
            self._close("pipelined")
        else:
            super().on_headers_complete()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def on_body(self, body: bytes) -> None:
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase = Phase.RECEIVED
        if self.cycle is not None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase is not Phase.BODY or self.pipeline:
            return
        self._answered_at = self.loop.time()
        self._received = 0
        if self.expect_100_continue:  # the client may send the body or not, so the next request cannot be told from it
            self.transport.close()

    # ---------------------------------------------------------------- limits of time

    def look(self, now: float) -> None:
        rules = self.limits.rules
        if self.transport.is_closing():
            self._abort_unless_read(now)
        elif self._stalled_since and now - self._stalled_since > rules.stalled_seconds:
            CONNECTIONS_REFUSED.labels("stalled").inc()
            self.transport.abort()
        elif self._phase is Phase.HEAD and now > self._deadline:
            self._refuse(408, SLOW_HEAD, reason="slow_head")
        elif self._phase is Phase.BODY:
            self._look_at_body(now)

    def _look_at_body(self, now: float) -> None:
        rules = self.limits.rules
        if self._answered_at:
            if now - self._answered_at > rules.unread_seconds:
                self._close("unread_body")
        elif self.flow.read_paused:
            self._body_started_at = now - rules.body_seconds / 2  # the application does not ask for more
        elif now - self._body_started_at > rules.body_seconds + self._received / rules.bytes_per_second:
            self._refuse(408, SLOW_BODY, reason="slow_body")

    def _abort_unless_read(self, now: float) -> None:
        """A closed connection remains until the client has read the rest of the response."""
        self._closing_since = self._closing_since or now
        if now - self._closing_since > self.limits.rules.unread_seconds:
            self.transport.abort()

    # ---------------------------------------------------------------- refusals

    def _refuse(self, status: int, detail: str, *, reason: str) -> None:
        """Answer without the application, unless it has begun to answer."""
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not begun and not self.transport.is_closing():
            self.transport.write(error_bytes(status, detail))
        self._close(reason)

    def _close(self, reason: str) -> None:
        CONNECTIONS_REFUSED.labels(reason).inc()
        self.transport.close()


def error_bytes(status: int, detail: str) -> bytes:
    body = json.dumps({"detail": detail, "code": CODES[status], "request_id": None}).encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n"
    head += "Retry-After: 1\r\n\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else "\r\n"
    return head.encode() + body


def limited_protocol(limits: ConnectionLimits) -> type[LimitedProtocol]:
    """uvicorn creates the protocol itself, so the limits are an attribute of its class."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": limits})
