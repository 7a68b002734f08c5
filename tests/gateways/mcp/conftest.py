"""The client of the `mcp` package, over HTTP on loopback."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.session import ElicitationFnT
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

MODERN = "2026-07-28"
ERAS = (MODERN, "legacy")
"""Requests that stand alone, and the protocol versions that begin with a handshake."""
Json = dict[str, Any]


class ConnectMcp(Protocol):
    def __call__(
        self,
        credential: str,
        mode: str = MODERN,
        elicit: ElicitationFnT | None = None,
        headers: dict[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Client]: ...


@asynccontextmanager
async def connect_to(
    url: str,
    credential: str,
    mode: str = MODERN,
    elicit: ElicitationFnT | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Client]:
    sent = {"Authorization": f"Bearer {credential}", **(headers or {})}
    async with httpx2.AsyncClient(headers=sent, timeout=30) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with Client(transport, mode=mode, elicitation_callback=elicit) as client:
            yield client


@pytest.fixture
def connect_mcp(app_url: str) -> ConnectMcp:
    def to_app(
        credential: str,
        mode: str = MODERN,
        elicit: ElicitationFnT | None = None,
        headers: dict[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Client]:
        return connect_to(app_url, credential, mode, elicit, headers)

    return to_app


async def use(client: Client, tool: str, **arguments: object) -> Json:
    """Calls a tool that must succeed."""
    return await call(client, tool, arguments, is_error=False)


async def refusal(client: Client, tool: str, **arguments: object) -> Json:
    """Calls a tool that must be refused."""
    return await call(client, tool, arguments, is_error=True)


async def call(client: Client, tool: str, arguments: Json, *, is_error: bool) -> Json:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert result.is_error is is_error, result.content
    (content,) = result.content
    assert isinstance(content, TextContent)
    answer: Json = json.loads(content.text)
    return answer
