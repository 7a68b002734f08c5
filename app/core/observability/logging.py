"""Structured logs with constant event names, ids and numbers. They never contain user content, at any level."""

import logging
import traceback
from collections.abc import MutableMapping
from contextvars import ContextVar
from pathlib import Path

import structlog

OURS = ("app", "keepsake")
TRUSTED = ("uvicorn", "procrastinate")
LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def describe(error: BaseException) -> str:
    """The type and origin of an error without its message, because messages of databases and parsers quote content."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    trace = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    cause = error.__cause__ or error.__context__
    return f"{type(error).__name__} at {trace}" + (f"; from {describe(cause)}" if cause else "")


def _add_request_id(_: object, __: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    if current := request_id.get():
        event.setdefault("request_id", current)
    return event


def _hide_error_messages(_: object, __: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    failure = event.pop("exc_info", None)
    if isinstance(failure, BaseException):
        event["error"] = describe(failure)
    return event


class LibraryHandler(logging.Handler):
    """Logs the origin of a library's message, but not its text, which may quote content."""

    def emit(self, record: logging.LogRecord) -> None:
        event: dict[str, object] = {"logger": record.name, "at": f"{Path(record.pathname).name}:{record.lineno}"}
        if record.exc_info and record.exc_info[1]:
            event["error"] = describe(record.exc_info[1])
        if record.name.split(".")[0] in TRUSTED and not record.exc_info:
            event["message"] = record.getMessage()
        # Libraries define their own levels, which structlog does not know.
        level = max(known for known in LEVELS if known <= max(record.levelno, LEVELS[0]))
        structlog.get_logger().log(level, "library.message", **event)


def configure_logging(level: str, *, as_json: bool) -> None:
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_request_id,
            _hide_error_messages,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[LibraryHandler()], level=logging.WARNING, force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(logging.WARNING)
