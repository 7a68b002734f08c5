"""mem0's API answers 400 to whatever cannot be read, where FastAPI would answer 422."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.core.errors import BadRequest
from app.core.http.error_responses import say_what_is_wrong


class Problem(BaseModel):
    """Every answer that is not a success."""

    detail: str
    code: str
    request_id: str | None


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "Something in the request cannot be read, or asks for what cannot be"},
    401: {"model": Problem, "description": "No credential, or one that is not valid"},
    403: {"model": Problem, "description": "This credential may not do that"},
    404: {"model": Problem, "description": "There is no such thing in this project"},
    429: {"model": Problem, "description": "Too many requests; `Retry-After` says how many seconds to wait"},
}


class PlainRefusals(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_plainly(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise BadRequest(say_what_is_wrong(error), code="invalid_request") from None

        return handle_plainly
