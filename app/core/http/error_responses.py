"""Renders every error as `{"detail": sentence, "code": word, "request_id": id}`."""

import asyncio
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from slowapi.errors import RateLimitExceeded
from sqlalchemy import exc
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.core.database.database import ConnectionsBusyError
from app.core.errors import AppError, Conflict, DiskFull, TimedOut, TooCostly, Unavailable, Unprocessable
from app.core.http.openapi_errors import document_errors
from app.core.http.strict_requests import UNKNOWN, describe_unknown
from app.core.observability.logging import request_id
from app.core.rate_limit import LimitExceeded, RateLimit, limiter

log = structlog.get_logger()
CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
CODES |= {409: "conflict", 413: "too_large", 422: "invalid_request"}
OUT_OF_SPACE, CANCELED, DEADLOCK = "53100", "57014", "40P01"
CHANGED_AT_ONCE = "Another request changed the same rows at the same time. Nothing was changed. Send the request again."
ERRORS_BY_STATE: Mapping[str | None, Callable[[], AppError]] = {
    OUT_OF_SPACE: DiskFull,
    CANCELED: lambda: TimedOut("The database query took too long. Request less at once."),
    DEADLOCK: lambda: Unavailable(CHANGED_AT_ONCE, headers={"Retry-After": "1"}),
}
FOREIGN_KEY_VIOLATION, UNIQUE_VIOLATION = "23503", "23505"
# NUL in a text (psycopg refuses it before Postgres does, without a state), NUL in JSON, and lone surrogates.
UNSTORABLE = {None, "22P05", "22021"}
UNREADABLE = "The request body cannot be read. Send JSON in UTF-8, nested at most a thousand levels deep."
NO_OBJECT = "The request body must be a JSON object, sent with the header `Content-Type: application/json`."
INTERNAL_ERROR = "The server failed unexpectedly. Give this request_id to the operator."
PROJECT_BUSY = "This project uses its share of the database connections. Send fewer requests at once, then try again."
ITEMS = re.compile(r" items?( after validation, not \d+)?$")
ErrorShape = Callable[[int, dict[str, Any]], tuple[int, dict[str, Any]]]
"""Turns the status and the body of an error into those of another product's API."""
REQUEST_PARTS = ("body", "query", "path", "header")
UNION_BRANCH = re.compile(r"[\[(]")
"""A part of an error's location that means nothing to the client."""


def error_response(
    status: int, detail: str, code: str, headers: dict[str, str] | None = None, scope: Scope | None = None
) -> JSONResponse:
    """A route can set `request.state.error_fields`: what a client needs to go on after an error."""
    fields = scope.get("state", {}).get("error_fields", {}) if scope else {}
    body = {"detail": detail, "code": code, "request_id": request_id.get(), **fields}
    if scope and (shape := _find_shape(scope)):
        status, body = shape(status, body)
    return JSONResponse(body, status, headers)


def _find_shape(scope: Scope) -> ErrorShape | None:
    shapes: Mapping[str, ErrorShape] = getattr(scope["app"].state, "error_shapes", {}) if "app" in scope else {}
    path = f"{scope['path']}/"
    return next((shape for prefix, shape in shapes.items() if path.startswith(prefix)), None)


async def render_app_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    if isinstance(error, TooCostly):
        await asyncio.sleep(error.delay_seconds)
    challenge = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if error.fields:
        request.state.error_fields = {**getattr(request.state, "error_fields", {}), **error.fields}
    return error_response(error.status, error.detail, error.reason, {**challenge, **error.headers}, request.scope)


async def render_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, AppError):  # raised while the body was received, which FastAPI reports as 400
        return await render_app_error(request, error.__cause__)
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"No route matches {request.url.path}. See /docs for the API reference."
    if error.status_code == 405:
        detail = f"{request.url.path} does not support {request.method}. See /docs for the API reference."
    if error.status_code == 400 and isinstance(error.__cause__, ValueError | RecursionError):
        detail = UNREADABLE
    code = CODES.get(error.status_code, "error")
    return error_response(error.status_code, detail, code, dict(error.headers or {}), request.scope)


async def render_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return error_response(422, describe_validation_error(request, error), "invalid_request", scope=request.scope)


def describe_validation_error(request: Request, error: RequestValidationError) -> str:
    """One sentence about an unknown field, which may be the reason for the others, or about the first error. It does
    not repeat the value."""
    errors = error.errors()
    if unknown := next((each for each in errors if each["type"] == UNKNOWN), None):
        return describe_unknown(request, unknown["loc"])
    if errors[0]["type"] == "json_invalid":
        return "The request body is not valid JSON."
    if errors[0]["type"] == "model_attributes_type" and errors[0]["loc"] == ("body",):
        return NO_OBJECT
    return describe_invalid_value(errors[0])


def describe_invalid_value(first: Mapping[str, Any]) -> str:
    """`first` is an error as pydantic reports it."""
    parts = [str(part) for part in first["loc"]]
    named = parts[1:] if parts and parts[0] in REQUEST_PARTS else parts
    location = ".".join(part for part in named if not UNION_BRANCH.search(part))
    message = str(first["msg"]).removeprefix("Value error, ")
    if isinstance(first.get("input"), str):  # pydantic calls characters "items" if a text is validated twice
        message = ITEMS.sub(" characters", message)
    return f"`{location}`: {message}" if location else f"The request: {message}"


async def render_sign_in_limit(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RateLimitExceeded)
    assert error.limit is not None
    item = error.limit.limit
    return await render_app_error(request, LimitExceeded(RateLimit("auth", item.amount, item.get_expiry())))


async def render_database_error(request: Request, error: Exception) -> JSONResponse:
    return await render_app_error(request, report_database_error(error))


def report_database_error(error: Exception) -> AppError:
    app_error = translate_database_error(error)
    if app_error.status >= 500:
        log.error("database.failed", exc_info=error)
    return app_error


def translate_database_error(error: Exception) -> AppError:
    state = error.orig.sqlstate if isinstance(error, exc.DBAPIError) and isinstance(error.orig, psycopg.Error) else None
    if state in ERRORS_BY_STATE:
        return ERRORS_BY_STATE[state]()
    if state in (FOREIGN_KEY_VIOLATION, UNIQUE_VIOLATION):  # rows changed after this request read them
        return Conflict("Another request changed or deleted this object at the same time. Read it again, then retry.")
    if isinstance(error, exc.DataError) and state in UNSTORABLE:
        return Unprocessable("The request contains a character that cannot be stored, such as NUL. Remove it.")
    if isinstance(error, ConnectionsBusyError) and error.own_share:
        return Unavailable(PROJECT_BUSY, headers={"Retry-After": "1"})
    if isinstance(error, exc.TimeoutError):
        return Unavailable("The server is busy. Try again in a moment.", headers={"Retry-After": "1"})
    if isinstance(error, exc.OperationalError | exc.InterfaceError):
        return Unavailable("The database does not respond. Try again in a moment.", headers={"Retry-After": "2"})
    return AppError(INTERNAL_ERROR)


async def render_unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("request.failed", exc_info=error)
    return error_response(500, INTERNAL_ERROR, "internal_error", scope=request.scope)


def install(app: FastAPI, shapes: Mapping[str, ErrorShape] = MappingProxyType({})) -> None:
    """`shapes`: by the beginning of a path, with a slash at its end."""
    app.state.error_shapes = shapes
    app.state.limiter = limiter
    document_errors(app)
    app.add_exception_handler(AppError, render_app_error)
    app.add_exception_handler(HTTPException, render_http_error)
    app.add_exception_handler(RequestValidationError, render_invalid)
    app.add_exception_handler(RateLimitExceeded, render_sign_in_limit)
    app.add_exception_handler(exc.SQLAlchemyError, render_database_error)
