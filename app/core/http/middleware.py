"""Gives every request an id, a time limit, a size limit, security headers, one log line and metrics."""

import asyncio
import re
import time
import uuid
from collections.abc import Callable

import structlog
from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.database.actor import current_actor
from app.core.http.body_budget import BodyBudget, HeldBody
from app.core.http.body_limits import ChooseLimit, limit_body
from app.core.http.error_responses import error_response, render_unexpected
from app.core.observability.logging import request_id
from app.core.observability.metrics import IN_FLIGHT, LATENCY, REQUESTS

log = structlog.get_logger()
CLIENT_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
TRANSPORT_SECURITY = (b"strict-transport-security", b"max-age=31536000")
"""A year. It names no subdomains, because they may belong to other services."""
CONTENT_SECURITY = b"default-src 'none'; frame-ancestors 'none'"


TOOK_TOO_LONG = "The request took too long and was stopped. Request less at once."


class RequestMiddleware:
    """`with_cors` adds CORS headers to responses created here, which bypass CORSMiddleware."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        timeout_seconds: float,
        body_limit: ChooseLimit,
        body_budget: BodyBudget,
        has_https_url: bool,
        with_cors: Callable[[ASGIApp], ASGIApp],
    ) -> None:
        self._app = app
        self._with_cors = with_cors
        self._timeout = timeout_seconds
        self._body_limit = body_limit
        self._body_budget = body_budget
        self._has_https_url = has_https_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        collapse_slashes(scope)
        request = RequestScope(scope, send, is_https=self._has_https_url or scope["scheme"] == "https")
        token, actor = request_id.set(request.id), current_actor.set(None)
        IN_FLIGHT.inc()
        body = HeldBody(self._body_budget)
        try:
            await self._answer(request, scope, limit_body(scope, receive, self._body_limit, body))
        finally:
            body.release()
            IN_FLIGHT.dec()
            request_id.reset(token)
            current_actor.reset(actor)
            request.report()

    async def _answer(self, request: "RequestScope", scope: Scope, receive: Receive) -> None:
        try:
            async with asyncio.timeout(self._timeout) as limit:
                # The limit ends with the start of the response, because a stream may take longer.
                request.on_start = lambda: limit.reschedule(None)
                await self._app(scope, receive, request.send)
        except Exception as error:  # the last resort, so that the client gets an error of the documented form
            if request.status:
                raise
            request.on_start = lambda: None
            if limit.expired():
                reply = error_response(504, TOOK_TOO_LONG, "timed_out", scope=scope)
            else:
                reply = await render_unexpected(Request(scope), error)
            await self._with_cors(reply)(scope, receive, request.send)


class RequestScope:
    """The state of one request."""

    def __init__(self, scope: Scope, send: Send, *, is_https: bool) -> None:
        client_id = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        self.id = client_id if CLIENT_REQUEST_ID.match(client_id) else uuid.uuid4().hex
        self.scope = scope
        self.is_https = is_https
        self.status = 0
        self.on_start: Callable[[], None] = lambda: None
        self._send = send
        self._started_at = time.perf_counter()
        self._first_byte_at = 0.0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            self._first_byte_at = time.perf_counter()
            self.on_start()
            self._add_headers(message)
        await self._send(message)

    def _add_headers(self, message: Message) -> None:
        message.setdefault("headers", [])
        headers = MutableHeaders(raw=message["headers"])
        present = {name for name, _ in message["headers"]}
        message["headers"].extend(pair for pair in SECURITY_HEADERS if pair[0] not in present)
        message["headers"].append((b"x-request-id", self.id.encode()))
        if self.is_https:
            message["headers"].append(TRANSPORT_SECURITY)
        if b"content-security-policy" not in present:
            message["headers"].append((b"content-security-policy", CONTENT_SECURITY))
        allowance = self.scope.get("state", {}).get("allowance")
        if allowance and "x-ratelimit-limit" not in headers:
            headers.update(allowance.headers())

    def report(self) -> None:
        route = getattr(self.scope.get("route"), "path", "unmatched")
        seconds = (self._first_byte_at or time.perf_counter()) - self._started_at
        method = self.scope["method"]
        REQUESTS.labels(method, route, str(self.status)).inc()
        LATENCY.labels(route).observe(seconds)
        if observe := self.scope.get("state", {}).get("observe_latency"):
            observe(seconds)
        log.info("request", method=method, route=route, status=self.status, ms=round(seconds * 1000, 2), id=self.id)


def collapse_slashes(scope: Scope) -> None:
    """mem0's clients request `//v1/…` if their host was configured with a slash at the end."""
    if scope["path"].startswith("//"):
        scope["path"] = "/" + scope["path"].lstrip("/")
        scope["raw_path"] = b"/" + scope.get("raw_path", b"").lstrip(b"/")
