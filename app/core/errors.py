"""Every error a client can see, and the one way each is rendered."""

from typing import ClassVar


class AppError(Exception):
    """Raised with one sentence for the caller: what is wrong and what to change."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str, *, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = code or type(self).code
        self.headers = headers or {}


class BadRequest(AppError):
    status, code = 400, "bad_request"


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


class Unprocessable(AppError):
    status, code = 422, "unprocessable"


class TooManyRequests(AppError):
    status, code = 429, "rate_limited"


class UpstreamFailed(AppError):
    """Another system answered, and what it said cannot be used."""

    status, code = 502, "upstream_failed"


class Unavailable(AppError):
    """Something this request needs is away; the same request may succeed later."""

    status, code = 503, "unavailable"


class TimedOut(AppError):
    status, code = 504, "timed_out"


class ExtractionFailed(Exception):
    """An extractor could not do its work. `retry_after` says when another try makes sense; None says never."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class NotDelivered(Exception):
    """A receiver did not take what it was told. The reason is a sentence of ours, never what the receiver said."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class ConfigurationError(Exception):
    """Stops the start: one sentence that names the variable and the remedy."""
