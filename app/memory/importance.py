"""How important a message is, from 0 to 1: what its sender says, otherwise what its role and its age suggest."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import ColumnElement, Float, case, cast, func, literal

from app.core.errors import BadRequest
from app.core.ports import Role
from app.memory.ledger import Memory, NewMemory

ROLE_IMPORTANCE: dict[str, float] = {Role.USER: 0.5, Role.ASSISTANT: 0.4, Role.SYSTEM: 0.3}
LASTING_SHARE = 0.5
"""The part of the importance of a role that remains, however old the message is."""
DAY_SECONDS = 86_400.0


def importance_of(role: str, recency: float, own: float | None) -> float:
    """`own` is the value that the sender gave. It does not fade."""
    if own is not None:
        return min(max(own, 0.0), 1.0)
    return ROLE_IMPORTANCE[role] * (LASTING_SHARE + (1 - LASTING_SHARE) * recency)


def recency_of(created_at: dt.datetime, now: dt.datetime, half_life_days: float) -> float:
    """1 now, a half after the half-life. A date in the future counts as now."""
    age = max((now - created_at).total_seconds() / DAY_SECONDS, 0.0)
    return float(0.5 ** (age / half_life_days))


def importance_in(metadata: Mapping[str, object]) -> float | None:
    """The importance that the metadata of a memory names, if it is one."""
    value = metadata.get("importance")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Postgres refuses numbers that are too small for the column.
    return round(float(value), 6) if 0 <= value <= 1 else None


def with_importance(memory: NewMemory, metadata: Mapping[str, object]) -> NewMemory:
    return replace(memory, importance=importance_in(metadata))


def check_importance(metadata: Mapping[str, object]) -> None:
    if metadata.get("importance") is not None and importance_in(metadata) is None:
        raise BadRequest(
            "`metadata.importance` must be a number from 0 to 1: how important the memory is. Use another name in the"
            " metadata for anything else."
        )


def importance_sql(now: dt.datetime, half_life_days: float) -> ColumnElement[float]:
    """The same for rows of `memories`, for conditions and orders."""
    age = func.greatest(func.extract("epoch", literal(now) - Memory.created_at), 0) / DAY_SECONDS
    # Postgres refuses a power that is too small to be a number. After a hundred half-lives nothing is left.
    recency = func.power(0.5, func.least(cast(age, Float) / half_life_days, 100.0))
    of_role = case(ROLE_IMPORTANCE, value=Memory.role, else_=0.0)
    return func.coalesce(
        cast(Memory.importance, Float), cast(of_role, Float) * (LASTING_SHARE + (1 - LASTING_SHARE) * recency)
    )
