"""The part of a file that a request asks for (RFC 9110, 14)."""

import re
from dataclasses import dataclass

from app.core.errors import AppError

SINGLE_RANGE = re.compile(r"^bytes=\s*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\s*$", re.IGNORECASE)


class RangeNotSatisfiable(AppError):
    status, code = 416, "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        detail = f"The file has {size} bytes, and the range begins after them. Leave `Range` out to fetch all of it."
        super().__init__(detail, headers={"Content-Range": f"bytes */{size}"})


@dataclass(frozen=True, slots=True)
class ByteRange:
    start: int
    end: int
    """The first byte that is not part of it."""

    @property
    def length(self) -> int:
        return self.end - self.start


def choose_range(size: int, wanted: str | None, if_range: str | None, etag: str) -> ByteRange | None:
    """None for the whole file: without a range, with one that cannot be understood, with several, or if the file is
    not the one of which the client has a part."""
    match = SINGLE_RANGE.match(wanted) if wanted and if_range in (None, etag) else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise RangeNotSatisfiable(size)
    return ByteRange(start, end)
