"""Classifies failures of a model server: which error the caller gets, and whether a retry makes sense."""

import datetime as dt
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

from app.core.circuit_breaker import unavailable
from app.core.errors import AppError, RequestRefused, TimedOut, TooLarge, Unavailable, Unprocessable, UpstreamFailed
from app.core.ports import Json
from app.core.text.fenced_text import plain_line

DEFAULT_RETRY_SECONDS = 5.0
"""Used if the server does not send Retry-After."""
MAX_QUOTED = 500
"""Characters of a message of the model server."""


class UnreadableResponse(Unavailable):
    """The server answered with something that cannot be parsed."""


class NoCompletion(UpstreamFailed):
    """The server answered with something else than a completion."""


@dataclass(frozen=True, slots=True)
class ModelFailure:
    error: AppError
    can_retry: bool
    """Whether the same request may succeed shortly."""
    is_down: bool
    """Whether the server itself has a problem, as opposed to refusing this request."""
    retry_after: float | None = None
    status: int | None = None
    """None if the server did not respond."""


def failure_of_text(who: str, failure: ModelFailure) -> ModelFailure:
    """The same failure, after it turned out that the server answers other requests."""
    return replace(failure, error=UpstreamFailed(f"{who} cannot process this text."), is_down=False)


def connection_failure(who: str, *, timed_out: bool) -> ModelFailure:
    if timed_out:
        return ModelFailure(
            TimedOut(f"{who} took too long.", headers={"Retry-After": "5"}), can_retry=True, is_down=True
        )
    return ModelFailure(
        unavailable(f"{who} cannot be reached. Try again shortly.", DEFAULT_RETRY_SECONDS), can_retry=True, is_down=True
    )


def unreadable_response(who: str) -> ModelFailure:
    error = UnreadableResponse(
        f"{who} sent a response that cannot be read.", headers={"Retry-After": f"{DEFAULT_RETRY_SECONDS:.0f}"}
    )
    return ModelFailure(error, can_retry=True, is_down=True)


def status_failure(who: str, prefix: str, status: int, message: str, headers: Mapping[str, str]) -> ModelFailure:
    """`message` is the server's own code and message. It is only inspected, never passed on: it may quote content."""
    wait = retry_after(headers)
    if status == 429:
        quota_exceeded = "insufficient_quota" in message
        detail = (
            f"{who}'s quota is used up." if quota_exceeded else f"{who}'s rate limit is exceeded. Try again shortly."
        )
        return ModelFailure(
            unavailable(detail, wait or DEFAULT_RETRY_SECONDS),
            not quota_exceeded,
            is_down=False,
            retry_after=wait,
            status=status,
        )
    if status in (408, 409) or status >= 500:
        error = unavailable(f"{who} failed with status {status}. Try again shortly.", wait or DEFAULT_RETRY_SECONDS)
        return ModelFailure(error, can_retry=True, is_down=status >= 500, retry_after=wait, status=status)
    return ModelFailure(_refusal(who, prefix, status, message.lower()), can_retry=False, is_down=False, status=status)


def _refusal(who: str, prefix: str, status: int, message: str) -> AppError:
    if status in (401, 403):
        return UpstreamFailed(f"{who} refused this server's key. Check {prefix}_API_KEY.")
    if status == 404:
        return UpstreamFailed(f"{who} was not found. Check {prefix}_MODEL and {prefix}_BASE_URL.")
    if "context_length" in message or "context length" in message:
        return TooLarge(f"{who} cannot read that much at once. Send less.")
    if "content_filter" in message or "content_policy" in message:
        return Unprocessable(f"{who}'s provider declined this content.")
    return UpstreamFailed(f"{who} refused the request with status {status}.")


def raise_refused(message: str, parameter: str | None, body: object) -> None:
    """What a model says against a parameter of the client's goes to this client, unless it is about the content."""
    code = body.get("code") if isinstance(body, Mapping) else None
    if not re.search("content_(filter|policy)|context.length", f"{code} {message}"):
        said = body.get("message") if isinstance(body, Mapping) else None
        detail = f"The language model refused the request: {plain_line(str(said or message))[:MAX_QUOTED]}"
        raise RequestRefused(detail, parameter=parameter)


def require_completion(answer: object) -> Json:
    if not isinstance(answer, dict) or not answer.get("choices"):
        raise NoCompletion("The language model's response is not a completion.")
    return answer


def retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or dt.UTC) - dt.datetime.now(dt.UTC)).total_seconds())


def retry_delay(attempts: int, failure: ModelFailure) -> float:
    """Seconds until the next attempt: what the server asked for, or exponential backoff, with jitter."""
    jitter = random.uniform(0.5, 1)  # noqa: S311  # spreads callers out, keeps no secret
    if failure.retry_after is not None:
        return failure.retry_after + jitter / 4
    return min(8.0, 0.5 * 2.0 ** (attempts - 1)) * jitter
