"""How important a message is, from 0 to 1: what its sender says, otherwise what its role and its age suggest."""

import datetime as dt

from sqlalchemy import ColumnElement, Float, case, cast, func, literal

from app.core.ports import Role
from app.memory.ledger import Memory

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


def importance_sql(now: dt.datetime, half_life_days: float) -> ColumnElement[float]:
    """The same for rows of `memories`, for conditions and orders."""
    age = func.greatest(func.extract("epoch", literal(now) - Memory.created_at), 0) / DAY_SECONDS
    # Postgres refuses a power that is too small to be a number. After a hundred half-lives nothing is left.
    recency = func.power(0.5, func.least(cast(age, Float) / half_life_days, 100.0))
    of_role = case(ROLE_IMPORTANCE, value=Memory.role, else_=0.0)
    return func.coalesce(
        cast(Memory.importance, Float), cast(of_role, Float) * (LASTING_SHARE + (1 - LASTING_SHARE) * recency)
    )
