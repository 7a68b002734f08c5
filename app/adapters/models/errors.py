"""What a model server's failures mean for us: which error a caller sees, and whether asking again makes sense."""

import datetime as dt
import random
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from app.core.circuit_breaker import unavailable
from app.core.errors import AppError, TimedOut, TooLarge, Unprocessable, UpstreamFailed

LATER = 5.0
"""Seconds to name when the server named none."""


@dataclass(frozen=True, slots=True)
class Trouble:
    error: AppError
    again: bool
    """Whether the same request may succeed shortly."""
    down: bool
    """Whether this says that the server is not well, and not only that it did not like this request."""
    after: float | None = None


def no_answer(who: str, *, timed_out: bool) -> Trouble:
    if timed_out:
        return Trouble(TimedOut(f"{who} took too long.", headers={"Retry-After": "5"}), again=True, down=True)
    return Trouble(unavailable(f"{who} cannot be reached; try again shortly.", LATER), again=True, down=True)


def unreadable(who: str) -> Trouble:
    return Trouble(unavailable(f"{who} sent an answer that cannot be read.", LATER), again=True, down=True)


def bad_status(who: str, prefix: str, status: int, said: str, headers: Mapping[str, str]) -> Trouble:
    """`said` is the server's own code and message: looked at here, and never passed on, for it may quote content."""
    after = retry_after(headers)
    if status == 429:
        spent = "insufficient_quota" in said
        detail = f"{who}'s quota is used up." if spent else f"{who} is asked too often; try again shortly."
        return Trouble(unavailable(detail, after or LATER), again=not spent, down=False, after=after)
    if status in (408, 409) or status >= 500:
        error = unavailable(f"{who} failed with status {status}; try again shortly.", after or LATER)
        return Trouble(error, again=True, down=status >= 500, after=after)
    return Trouble(_refusal(who, prefix, status, said.lower()), again=False, down=False)


def _refusal(who: str, prefix: str, status: int, said: str) -> AppError:
    if status in (401, 403):
        return UpstreamFailed(f"{who} refused this server's key: check {prefix}_API_KEY.")
    if status == 404:
        return UpstreamFailed(f"{who} was not found: check the model's name and {prefix}_BASE_URL.")
    if "context_length" in said or "context length" in said:
        return TooLarge(f"{who} cannot read that much at once; send less.")
    if "content_filter" in said or "content_policy" in said:
        return Unprocessable(f"{who}'s provider declined this content.")
    return UpstreamFailed(f"{who} refused the request with status {status}.")


def retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or dt.UTC) - dt.datetime.now(dt.UTC)).total_seconds())


def pause(tried: int, trouble: Trouble) -> float:
    """Seconds until the next try: what the server asked for, or twice as long each time; never all callers together."""
    jitter = random.uniform(0.5, 1)  # noqa: S311  # spreads callers out, keeps no secret
    return trouble.after + jitter / 4 if trouble.after is not None else min(8.0, 0.5 * 2.0 ** (tried - 1)) * jitter
