"""Errors of /mcp before a message is read, in the form of JSON-RPC: clients show its `message`."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import AppError
from app.core.http.error_responses import report_database_error
from app.core.observability.logging import request_id
from app.core.resources import Resources

SERVER_ERROR, INTERNAL_ERROR = -32000, -32603


class McpRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_in_json_rpc(request: Request) -> Response:
            try:
                return await handle(request)
            except AppError as error:
                return render_error(error, resource_of(request))
            except SQLAlchemyError as error:
                return render_error(report_database_error(error), resource_of(request))

        return handle_in_json_rpc


def resource_of(request: Request) -> str:
    resources: Resources = request.app.state.resources
    return f"{resources.config.base_url.rstrip('/')}/.well-known/oauth-protected-resource/mcp"


def render_error(error: AppError, metadata: str) -> JSONResponse:
    """A client without a credential finds in the challenge how to get one (RFC 9728)."""
    code = INTERNAL_ERROR if error.status >= 500 else SERVER_ERROR
    data = {"code": error.reason, "request_id": request_id.get(), "status": error.status}
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": error.detail, "data": data}}
    challenge = {"WWW-Authenticate": f'Bearer resource_metadata="{metadata}"'} if error.status == 401 else {}
    return JSONResponse(body, error.status, {**challenge, **error.headers})
