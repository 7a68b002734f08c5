"""GoTrue's errors, in both response formats that its clients understand."""

from typing import NoReturn

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from app.core.errors import AppError

log = structlog.get_logger()

API_VERSION = "2024-01-01"
VERSION_HEADER = "X-Supabase-Api-Version"


class IdentityError(Exception):
    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        reasons: tuple[str, ...] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.reasons = reasons
        self.retry_after = retry_after


def invalid(message: str) -> IdentityError:
    return IdentityError(400, "validation_failed", message)


def refuse(error: IdentityError) -> NoReturn:
    """Raise a copy of a constant error, because a raised exception keeps the traceback of its request."""
    raise IdentityError(error.status, error.code, error.message)


def render(request: Request, error: IdentityError) -> JSONResponse:
    """With an API version the code is a word. Without one it is the status, as before GoTrue had API versions."""
    headers = {"x-sb-error-code": error.code}
    if request.headers.get(VERSION_HEADER, "") >= API_VERSION:
        headers[VERSION_HEADER] = API_VERSION
        body: dict[str, object] = {"code": error.code, "message": error.message}
    else:
        body = {"code": error.status, "error_code": error.code, "msg": error.message}
    if error.reasons:
        body["weak_password"] = {"reasons": list(error.reasons)}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return JSONResponse(body, error.status, headers)


def install_handlers(app: FastAPI) -> None:
    app.add_exception_handler(IdentityError, _identity_error)
    app.add_exception_handler(RequestValidationError, _bad_body)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(SQLAlchemyError, _database_error)


async def _identity_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, IdentityError)
    return render(request, error)


async def _bad_body(request: Request, error: Exception) -> JSONResponse:
    """Names the invalid field, but never repeats its value."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return render(request, IdentityError(400, "bad_json", "Could not parse request body as JSON"))
    field = ".".join(str(part) for part in first["loc"] if isinstance(part, str)) or "body"
    return render(request, invalid(f"Invalid value for {field}"))


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(cause := error.__cause__, AppError):  # raised while the body was received
        wait = cause.headers.get("Retry-After")
        return render(request, _of_app_error(cause, int(wait) if wait else None))
    code = {400: "bad_json", 404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "unexpected_failure")
    return render(request, IdentityError(error.status_code, code, str(error.detail)))


def _of_app_error(error: AppError, retry_after: int | None) -> IdentityError:
    code = "over_request_rate_limit" if error.status == 429 else error.reason
    return IdentityError(error.status, code, error.detail, retry_after=retry_after)


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    """Log the error type only, because the message may contain values of the request."""
    log.error("identity.database_failed", error=type(error).__name__)
    if isinstance(error, PoolTimeout):
        return render(
            request, IdentityError(503, "request_timeout", "The server is busy. Try again shortly.", retry_after=1)
        )
    return render(request, IdentityError(500, "unexpected_failure", "Database error"))
