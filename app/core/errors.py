"""The errors that clients see, each with its status and code."""

from typing import ClassVar

UNKNOWN_WAIT = "5"
"""Seconds, if it is not known when a dependency will be available again."""

LONGEST_PAUSE_SECONDS = 60.0
"""Of a job that waits for another system, whatever that system asks for."""


class AppError(Exception):
    """`detail` is a sentence for the client that says what is wrong and what to change."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str, *, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = code or type(self).code
        self.headers = headers or {}
        self.fields: dict[str, object] = {}
        """What else a program needs, beside the sentence and the code."""
        self.is_outage = False
        """Whether the system that failed is away: its circuit breaker is open. Else it failed for this request."""


class BadRequest(AppError):
    status, code = 400, "bad_request"


class RequestRefused(BadRequest):
    """The language model does not accept a parameter of a request that was passed on to it."""

    code = "refused_by_model"

    def __init__(self, detail: str, *, parameter: str | None = None) -> None:
        super().__init__(detail)
        self.fields = {"param": parameter}


class TooCostly(BadRequest):
    """A request whose refusal alone costs several milliseconds. Its response waits, so that a client that repeats it at
    once does not slow the others down."""

    delay_seconds: ClassVar[float] = 0.5


class Unauthorized(AppError):
    status, code = 401, "unauthorized"


class Forbidden(AppError):
    status, code = 403, "forbidden"


class NotFound(AppError):
    status, code = 404, "not_found"


class Conflict(AppError):
    status, code = 409, "conflict"


class TooLarge(AppError):
    status, code = 413, "too_large"


class UnsupportedMediaType(AppError):
    status, code = 415, "unsupported_media_type"


class Unprocessable(AppError):
    status, code = 422, "unprocessable"


class TooManyRequests(AppError):
    status, code = 429, "rate_limited"


class UpstreamFailed(AppError):
    """Another system sent a response that cannot be used."""

    status, code = 502, "upstream_failed"


class Unavailable(AppError):
    """A dependency of this request is unavailable. The same request may succeed later: `Retry-After` says when, with a
    default where it is not known."""

    status, code = 503, "unavailable"

    def __init__(self, detail: str, *, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail, code=code, headers={"Retry-After": UNKNOWN_WAIT, **(headers or {})})


class IndexFailed(Unavailable):
    """The embedded index cannot do what it was asked for."""

    def __init__(self) -> None:
        super().__init__("The embedded vector index failed. See the server log for the reason.")


class DiskFull(Unavailable):
    """Reading goes on. Writing resumes by itself when there is space again."""

    code = "disk_full"
    retry_seconds: ClassVar[int] = 30

    def __init__(self) -> None:
        detail = "The server's disk is full and nothing was stored. Free some space and try again."
        super().__init__(detail, headers={"Retry-After": str(self.retry_seconds)})


class TimedOut(AppError):
    status, code = 504, "timed_out"


class ExtractionFailed(Exception):
    """`retry_after` says when another attempt makes sense. None means never. `is_outage`: see AppError."""

    def __init__(self, reason: str, *, retry_after: float | None = None, is_outage: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.is_outage = is_outage


class Postponed(Exception):
    """A job can do nothing at the moment, because another system is away. This run does not count as an attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"for {seconds:.0f} seconds")
        self.seconds = seconds

    @classmethod
    def until_back(cls, outage: AppError | ExtractionFailed) -> "Postponed":
        """As long as the circuit breaker of that system rests, or as it asks for, up to a minute."""
        if isinstance(outage, ExtractionFailed):
            return cls(min(LONGEST_PAUSE_SECONDS, outage.retry_after or float(UNKNOWN_WAIT)))
        return cls(min(LONGEST_PAUSE_SECONDS, float(outage.headers.get("Retry-After", UNKNOWN_WAIT))))


class NotDelivered(Exception):
    """A webhook was not delivered. The reason never quotes the receiver's response."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class ConfigurationError(Exception):
    """Stops the start. The message names the setting and the remedy."""
