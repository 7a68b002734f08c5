"""Every answer that is not a success: `{"detail": sentence, "code": word, "request_id": id}`, whatever went wrong."""

import re

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from slowapi.errors import RateLimitExceeded
from sqlalchemy import exc
from starlette.exceptions import HTTPException

from app.core.errors import AppError, Conflict, TimedOut, Unavailable, Unprocessable
from app.core.http.openapi_errors import document_problems
from app.core.observability.logging import request_id
from app.core.rate_limit import Limit, limiter, refuse, stand

log = structlog.get_logger()
CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
CODES |= {409: "conflict", 413: "too_large", 422: "invalid_request"}
TOO_LARGE = "The request body is larger than MAX_BODY_BYTES allows: send less at once"
DISK_FULL, CANCELED = "53100", "57014"
REFERS_TO_NOTHING, IS_THERE_ALREADY = "23503", "23505"
# NUL in a text (which psycopg itself refuses, without a state), in JSON, and halves of a character.
UNSTORABLE = {None, "22P05", "22021"}
UNREADABLE = "The request body cannot be read: send JSON in UTF-8 that is not nested deeper than a thousand levels"
NO_OBJECT = "The request body takes a JSON object, sent with the header `Content-Type: application/json`"
ITEMS = re.compile(r" items?( after validation, not \d+)?$")
UNSPOKEN = re.compile(r"^(body|query|path|header)$|[\[(]")
"""Parts of a place that only we know: where in the request it was, and the branch of a union that was tried."""


def answer(status: int, detail: str, code: str, headers: dict[str, str] | None = None) -> JSONResponse:
    body = {"detail": detail, "code": code, "request_id": request_id.get()}
    return JSONResponse(body, status, headers)


async def render_app_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    challenge = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return answer(error.status, error.detail, error.reason, {**challenge, **error.headers})


async def render_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"There is nothing at {request.url.path}: see /docs for what there is"
    if error.status_code == 405:
        detail = f"{request.method} is not possible at {request.url.path}: see /docs for what is"
    if error.status_code == 400 and isinstance(error.__cause__, ValueError | RecursionError):
        detail = UNREADABLE
    if error.status_code == 413:
        detail = TOO_LARGE
    code = CODES.get(error.status_code, "error")
    return answer(error.status_code, detail, code, dict(error.headers or {}))


async def render_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return answer(422, say_what_is_wrong(error), "invalid_request")


def say_what_is_wrong(error: RequestValidationError) -> str:
    """One sentence about the first thing that is wrong, without repeating the value."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return "The request body is not valid JSON"
    if first["type"] == "model_attributes_type" and first["loc"] == ("body",):
        return NO_OBJECT
    place = ".".join(str(part) for part in first["loc"] if not UNSPOKEN.search(str(part)))
    message = str(first["msg"]).removeprefix("Value error, ")
    if isinstance(first.get("input"), str):  # where a text is checked twice, its characters are called items
        message = ITEMS.sub(" characters", message)
    return f"`{place}`: {message}" if place else f"The request: {message}"


async def render_sign_in_limit(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RateLimitExceeded)
    assert error.limit is not None
    item = error.limit.limit
    allowance = stand(Limit("auth", item.amount, item.get_expiry()), item.amount + 1)
    return await render_app_error(request, refuse("auth", allowance))


async def render_database_error(request: Request, error: Exception) -> JSONResponse:
    told = translate_database_error(error)
    if told.status >= 500:
        log.error("database.failed", exc_info=error)
    return await render_app_error(request, told)


def translate_database_error(error: Exception) -> AppError:
    state = error.orig.sqlstate if isinstance(error, exc.DBAPIError) and isinstance(error.orig, psycopg.Error) else None
    if state == DISK_FULL:
        return Unavailable("The server's disk is full: nothing was stored. Free some space and try again")
    if state == CANCELED:
        return TimedOut("The database took too long: ask for less at once")
    if state in (REFERS_TO_NOTHING, IS_THERE_ALREADY):  # what was read a moment ago is no longer so
        return Conflict("What this is about was changed or deleted at the same moment: look at it again")
    if isinstance(error, exc.DataError) and state in UNSTORABLE:
        return Unprocessable("The request holds a character that cannot be stored, such as NUL: leave it out")
    if isinstance(error, exc.TimeoutError):
        return Unavailable("The server is busy: try again in a moment", headers={"Retry-After": "1"})
    if isinstance(error, exc.OperationalError | exc.InterfaceError):
        return Unavailable("The database does not answer: try again in a moment", headers={"Retry-After": "2"})
    return AppError("Something went wrong on our side: tell the operator this request_id")


async def render_unexpected(_: Request, error: Exception) -> JSONResponse:
    log.error("request.failed", exc_info=error)
    return answer(500, "Something went wrong on our side: tell the operator this request_id", "internal_error")


def install(app: FastAPI) -> None:
    app.state.limiter = limiter
    document_problems(app)
    app.add_exception_handler(AppError, render_app_error)
    app.add_exception_handler(HTTPException, render_http_error)
    app.add_exception_handler(RequestValidationError, render_invalid)
    app.add_exception_handler(RateLimitExceeded, render_sign_in_limit)
    app.add_exception_handler(exc.SQLAlchemyError, render_database_error)
