"""Errors of /mcp before a message is read, in the form of JSON-RPC: clients show its `message`."""

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Message, Send

from app.core.errors import AppError
from app.core.http.error_responses import CODES, report_database_error
from app.core.observability.logging import request_id
from app.core.resources import Resources

INVALID_REQUEST, SERVER_ERROR, INTERNAL_ERROR = -32600, -32000, -32603
MCP_PATHS = ("/mcp/",)
NOT_ONE_MESSAGE = "The body is not one JSON-RPC request or notification. Send an object with `jsonrpc` and `method`."
NOT_JSON = "The body is not valid JSON."
NOT_ACCEPTED = "Send the header `Accept: application/json, text/event-stream`."


class McpRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_in_json_rpc(request: Request) -> Response:
            try:
                return await handle(request)
            except AppError as error:
                return render_error(request, error)
            except SQLAlchemyError as error:
                return render_error(request, report_database_error(error))

        return handle_in_json_rpc


def resource_of(request: Request) -> str:
    resources: Resources = request.app.state.resources
    return f"{resources.config.base_url.rstrip('/')}/.well-known/oauth-protected-resource/mcp"


def challenge(request: Request) -> str:
    """How to get a credential (RFC 9728), and whether the one that was sent is the reason (RFC 6750)."""
    sent = 'error="invalid_token", ' if "Authorization" in request.headers else ""
    return f'Bearer {sent}resource_metadata="{resource_of(request)}"'


def render_error(request: Request, error: AppError) -> JSONResponse:
    code = INTERNAL_ERROR if error.status >= 500 else SERVER_ERROR
    data = {"code": error.reason, "request_id": request_id.get(), "status": error.status}
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": error.detail, "data": data}}
    headers = {"WWW-Authenticate": challenge(request)} if error.status == 401 else {}
    return JSONResponse(body, error.status, {**headers, **error.headers})


def mcp_error(status: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Of a method that /mcp does not have: there are no streams to get and no sessions to delete."""
    data = {"code": body["code"], "request_id": body["request_id"], "status": status}
    return status, {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": SERVER_ERROR, "message": body["detail"], "data": data},
    }


@dataclass
class PlainRefusals:
    """Rewrites what the package refuses before it knows the id of a message: for older protocol versions, it quotes the
    message, and for others, it says nothing about `Accept`."""

    send: Send
    refused: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self.refused = message
        elif self.refused is None:
            await self.send(message)
        else:
            await self._refuse(self.refused, message["body"])

    async def _refuse(self, start: Message, body: bytes) -> None:
        status = start["status"]
        refused = describe_refusal(status, json.loads(body) if body else {})
        if refused is None:
            await self.send(start)
            await self.send({"type": "http.response.body", "body": body})
            return
        response = JSONResponse(refused, status)
        await self.send({"type": "http.response.start", "status": status, "headers": response.raw_headers})
        await self.send({"type": "http.response.body", "body": response.body})


def describe_refusal(status: int, given: dict[str, Any]) -> dict[str, Any] | None:
    """None for the answer to a message, which is left as it is."""
    if given.get("id") is not None:
        return None
    error = given.get("error", {"code": INVALID_REQUEST, "message": NOT_ACCEPTED})
    code, message = error["code"], error["message"]
    if message.startswith("Parse error"):
        message = NOT_JSON
    elif message.startswith("Validation error"):
        code, message = INVALID_REQUEST, NOT_ONE_MESSAGE
    data = {"code": CODES.get(status, "error"), "request_id": request_id.get(), "status": status}
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message, "data": data}}
