"""Cursor pagination: a cursor is the position of the last row of a page, not a number of rows to skip."""

import base64
import binascii
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Protocol, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from app.core.errors import BadRequest

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=200, description="The maximum number of results.")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the previous page.")]


class CursorRow(Protocol):
    @property
    def id(self) -> UUID: ...
    @property
    def created_at(self) -> dt.datetime: ...


class Page(BaseModel, Generic[T]):
    """A page in a response."""

    model_config = ConfigDict(from_attributes=True)

    results: list[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class PageRows(Generic[T]):
    """A page returned by a repository."""

    results: Sequence[T]
    next: str | None = None


def write_cursor(row: CursorRow) -> str:
    return base64.urlsafe_b64encode(f"{row.created_at.isoformat()}|{row.id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[dt.datetime, UUID]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        moment, _, row_id = text.partition("|")
        created_at = dt.datetime.fromisoformat(moment)
        if created_at.tzinfo is None:
            raise ValueError
        # Postgres refuses some offsets that Python accepts.
        return created_at.astimezone(dt.UTC), UUID(row_id)
    except (ValueError, binascii.Error, OverflowError):
        raise BadRequest("`cursor` is invalid. Pass the `next` of the previous page unchanged.") from None
