"""Which rows may be seen at all, before any filter of the caller's."""

from sqlalchemy import ColumnElement, func, or_

from app.memory.models import Memory


def visible(*, show_expired: bool = False) -> list[ColumnElement[bool]]:
    """A memory can be seen through the day it expires on, in UTC."""
    conditions: list[ColumnElement[bool]] = [Memory.archived_at.is_(None)]
    if not show_expired:
        today = func.date(func.timezone("UTC", func.now()))
        conditions.append(or_(Memory.expires_on.is_(None), Memory.expires_on >= today))
    return conditions
