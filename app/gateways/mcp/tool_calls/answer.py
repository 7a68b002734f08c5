"""Answers calls of tools, without the transport of the package.

For the older protocol versions, that starts two tasks and four streams for each request, in case the answer comes in
parts. It takes as long as everything else about a call. The answer to a call of a tool is one message, so it needs none
of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server.connection import Connection
from mcp.server.lowlevel.server import Server
from mcp.server.runner import serve_one
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    find_duplicated_routing_header,
)
from mcp.shared.jsonrpc_dispatcher import handler_exception_to_error_data
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp.types import DEFAULT_NEGOTIATED_VERSION, JSONRPCError, JSONRPCRequest, JSONRPCResponse
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

TRANSPORT = TransportContext(kind="streamable-http", can_send_request=False)


@dataclass
class OneAnswer:
    """The context of a request whose client receives one message, which is the answer."""

    request_id: str | int
    message_metadata: ServerMessageMetadata
    transport: TransportContext = TRANSPORT
    can_send_request: bool = False
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        del params, opts
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """There is no stream for it."""

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """There is no stream for it."""


@dataclass(frozen=True)
class CallMessage:
    message: JSONRPCRequest
    connection: Connection
    is_older: bool


def read_call_message(request: Request, body: bytes) -> CallMessage | None:
    """None for everything else, which the package answers or refuses."""
    if not check_accept_headers(request)[0] or request.headers.get("Content-Type") != "application/json":
        return None
    try:
        message = JSONRPCRequest.model_validate_json(body)
    except ValidationError:
        return None
    if message.method != "tools/call":
        return None
    version = request.headers.get(MCP_PROTOCOL_VERSION_HEADER, DEFAULT_NEGOTIATED_VERSION)
    if version in HANDSHAKE_PROTOCOL_VERSIONS:
        return CallMessage(message, Connection.from_envelope(version, None, None), is_older=True)
    if find_duplicated_routing_header(request.headers.items()):
        return None
    route = classify_inbound_request({"method": message.method, "params": message.params}, headers=request.headers)
    if isinstance(route, InboundLadderRejection):
        return None
    connection = Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities)
    return CallMessage(message, connection, is_older=False)


async def answer_call(server: Server[Any], request: Request, call: CallMessage) -> Response:
    message, status = call.message, 200
    context = OneAnswer(message.id, ServerMessageMetadata(request_context=request, can_send_request=False))
    answer: JSONRPCResponse | JSONRPCError
    try:
        result = await serve_one(
            server, context, message.method, message.params, connection=call.connection, lifespan_state={}
        )
        answer = JSONRPCResponse(jsonrpc="2.0", id=message.id, result=result)
    except (MCPError, ValidationError) as raised:
        error = handler_exception_to_error_data(raised)
        assert error is not None
        answer = JSONRPCError(jsonrpc="2.0", id=message.id, error=error)
        status = 200 if call.is_older else ERROR_CODE_HTTP_STATUS.get(error.code, 200)
    content = answer.model_dump_json(by_alias=True, exclude_none=True)
    return Response(content, status, media_type="application/json")
