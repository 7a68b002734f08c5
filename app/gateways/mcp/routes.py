"""/mcp: the Model Context Protocol over streamable HTTP, without sessions."""

import asyncio
import importlib
from typing import Protocol
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response, Security
from starlette.types import Receive, Scope, Send

from app.core.errors import Forbidden
from app.core.observability.logging import request_id
from app.core.resources import Resources
from app.gateways.mcp.errors import McpRoute, PlainRefusals
from app.gateways.mcp.forms.over_http import HandshakeWithForms, has_forms, read_json, respond_with_forms
from app.identity.caller import ACCEPTS_DELEGATED, Caller, RequireCaller, identify


class Serve(Protocol):
    async def __call__(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None: ...


router = APIRouter(route_class=McpRoute, include_in_schema=False)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class RequireCallerOfOwnPage(RequireCaller):
    """One dependency for both checks: each further one costs a tenth of a millisecond."""

    async def __call__(self, request: Request) -> Caller:
        refuse_foreign_page(request)
        setattr(request.state, ACCEPTS_DELEGATED, True)
        return await identify(request)


def refuse_foreign_page(request: Request) -> None:
    """A page that a browser shows names its origin in every POST. Another one may have made its name point here."""
    origin = request.headers.get("Origin")
    if origin and not is_own_origin(origin, request.app.state.resources):
        raise Forbidden("Pages of this origin may not call /mcp. The operator can add it to CORS_ORIGINS.")


def is_own_origin(origin: str, resources: Resources) -> bool:
    config = resources.config
    base = urlsplit(config.base_url)
    allowed = {f"{base.scheme}://{base.netloc}".lower(), *config.cors_origins}
    return origin.lower() in allowed or "*" in allowed or _host_of(origin) in LOOPBACK


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None


class LazyServer:
    """Importing the MCP package takes a second of the processor, which only those who use it pay. It happens in a
    thread, so that other requests are answered meanwhile."""

    def __init__(self) -> None:
        self._serve: Serve | None = None

    async def serve(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        if self._serve is None:
            module = await asyncio.to_thread(importlib.import_module, "app.gateways.mcp.server")
            self._serve = module.serve_message
        await self._serve(scope, body, receive, send)


SERVER = LazyServer()


class McpResponse(Response):
    """Answered by the MCP server, which writes its response itself."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._received = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered: Send = PlainRefusals(send)
        if b'"initialize"' in self._received:
            answered = HandshakeWithForms(answered, read_json(self._received))
        await SERVER.serve(scope, self._received, receive, answered)


@router.post("/mcp", dependencies=[Security(RequireCallerOfOwnPage())])
async def serve_mcp(request: Request) -> Response:
    request.state.request_id = request_id.get()
    body = await request.body()
    if has_forms(request) and (response := await respond_with_forms(request, body, SERVER.serve)):
        return response
    return McpResponse(body)
