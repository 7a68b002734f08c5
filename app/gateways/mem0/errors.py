"""mem0's API responds with 400 to an invalid request, where FastAPI would respond with 422."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from app.core.errors import BadRequest
from app.core.http.error_responses import describe_validation_error
from app.core.http.openapi_errors import Problem

ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request is invalid; `detail` says what to change."},
    401: {"model": Problem, "description": "The credential is missing or invalid."},
    403: {"model": Problem, "description": "This credential lacks the required scope."},
    404: {"model": Problem, "description": "No such object in this project."},
    429: {
        "model": Problem,
        "description": "Rate limit exceeded. Retry after the number of seconds in `Retry-After`.",
    },
}


class Mem0Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_with_bad_request(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise BadRequest(describe_validation_error(request, error), code="invalid_request") from None

        return handle_with_bad_request
