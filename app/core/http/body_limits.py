"""Bounds what a body may cost before it is parsed: its size, the number of values in its JSON, and its memory."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.types import Message, Receive, Scope

from app.core.errors import TooLarge
from app.core.http.body_budget import HeldBody

MAX_VALUES = 10_000
MAX_BYTES_WITHOUT_CALLER = 64 << 10
MAX_VALUES_WITHOUT_CALLER = 1_000
SMALL_BYTES = 2_000
"""A body of this size cannot contain enough values to matter."""


@dataclass(frozen=True, slots=True)
class BodyLimit:
    max_bytes: int
    max_values: int | None = MAX_VALUES
    """None for a route that reads the body in pieces and limits each."""
    size: str = "MAX_BODY_BYTES"
    """The limit of bytes as an error names it."""
    max_held: int | None = None
    """As much of the body as the route holds at the same time. None for all of it."""
    source: str = ""
    """The account or the network address that the memory of the body counts for."""


OWN_LIMIT = "body_limit"
Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


def with_body_limit(limit: BodyLimit) -> Callable[[Endpoint], Endpoint]:
    """Gives one route a limit of its own, once its caller is known."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.__dict__[OWN_LIMIT] = limit  # `functools.wraps` copies it
        return endpoint

    return mark


ChooseLimit = Callable[[Scope], Awaitable[BodyLimit]]
"""Called once, before any of the body is received. Raises if the request is refused."""


def limit_without_caller(max_bytes: int) -> BodyLimit:
    if max_bytes <= MAX_BYTES_WITHOUT_CALLER:
        return BodyLimit(max_bytes, MAX_VALUES_WITHOUT_CALLER)
    size = f"{MAX_BYTES_WITHOUT_CALLER:,} bytes, the limit for a request without a credential"
    return BodyLimit(MAX_BYTES_WITHOUT_CALLER, MAX_VALUES_WITHOUT_CALLER, size)


def limit_body(scope: Scope, receive: Receive, choose_limit: ChooseLimit, held: HeldBody) -> Receive:
    """FastAPI asks for the body, if the route has one, before it resolves the dependencies."""
    limit: BodyLimit | None = None
    received = 0
    pieces: list[bytes] = []

    async def receive_limited() -> Message:
        nonlocal limit, received
        if limit is None:
            limit = await choose_limit(scope)
            declared = declared_size(scope)
            refuse_size(declared, limit)
            held.grow(limit.source, min(declared, limit.max_held or declared))
        message = await receive()
        if body := message.get("body"):
            received += len(body)
            refuse_size(received, limit)
            held.grow(limit.source, min(received, limit.max_held or received))
            if limit.max_values is not None:
                pieces.append(body)
        if received > SMALL_BYTES and limit.max_values is not None and not message.get("more_body"):
            refuse_many_values(pieces, limit.max_values)
            pieces.clear()
        return message

    return receive_limited


def declared_size(scope: Scope) -> int:
    declared = dict(scope["headers"]).get(b"content-length", b"")
    return int(declared) if declared.isdigit() else 0


def refuse_size(size: int, limit: BodyLimit) -> None:
    if size > limit.max_bytes:
        raise TooLarge(f"The request body is larger than {limit.size}. Send a smaller one.")


def refuse_many_values(pieces: Sequence[bytes], max_values: int) -> None:
    """Parsing and checking many small values takes seconds, during which nothing else runs."""
    if sum(map(_separators, pieces)) <= max_values:
        return
    body = b"".join(pieces).replace(b"\\\\", b"").replace(b'\\"', b"")
    # Each value, and each name of one, is at most one text with two quotes.
    too_many_texts = body.count(b'"') > 4 * max_values
    if too_many_texts or _separators(b"".join(body.split(b'"')[::2])) > max_values:
        raise TooLarge(f"The request body has more than {max_values:,} JSON values. Send fewer at once.")


def _separators(json: bytes) -> int:
    """At least the number of values, and more if texts contain commas and brackets."""
    return json.count(b",") + json.count(b"[") + json.count(b"{")
