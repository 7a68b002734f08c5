"""What a filter is, once read: a small tree, its translation to SQL, and whom it is about. Pure; every value is bound.

Each condition is true or not true of a memory, with nothing in between: a missing value and a null are the same, and
`Not` is true of both.
"""

import datetime as dt
import json
import operator
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Literal

from sqlalchemy import ColumnElement, SQLColumnExpression, Text, and_, cast, exists, false, func, literal, or_, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute

from app.memory.ledger import Memory
from app.profiles.models import Profile

Comparison = Literal["gt", "gte", "lt", "lte"]
COMPARE: dict[Comparison, Callable[[Any, Any], ColumnElement[bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True of whatever the part is not true of, nulls included."""

    part: "Filter"


@dataclass(frozen=True, slots=True)
class Present:
    field: str


@dataclass(frozen=True, slots=True)
class OneOf:
    field: str
    values: tuple[str | uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    field: str
    operator: Comparison
    moment: dt.date | dt.datetime


@dataclass(frozen=True, slots=True)
class ContentContains:
    """The memory's own words contain this text."""

    text: str
    any_case: bool


@dataclass(frozen=True, slots=True)
class InCategory:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CategoryContains:
    """Part of the name of one of the categories, in any case."""

    text: str


@dataclass(frozen=True, slots=True)
class MetadataIs:
    key: str
    value: str
    """As JSON, which tells 1 from "1" and from true."""


@dataclass(frozen=True, slots=True)
class MetadataContains:
    """A text has it within, a list has it among its elements, anything else is it."""

    key: str
    value: str | float | bool | None


@dataclass(frozen=True, slots=True)
class InDefaultProfile:
    """Of a user's default profile, or of no user at all: what a question that names no user may see."""


@dataclass(frozen=True, slots=True)
class NotSuperseded:
    """Not replaced by a newer memory."""


Filter = (
    And
    | Or
    | Not
    | Present
    | OneOf
    | Compare
    | ContentContains
    | InCategory
    | CategoryContains
    | MetadataIs
    | MetadataContains
    | InDefaultProfile
    | NotSuperseded
)


# ---------------------------------------------------------------- to SQL

COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "user_id": Memory.user_id,
    "agent_id": Memory.agent_id,
    "app_id": Memory.app_id,
    "run_id": Memory.run_id,
    "created_at": Memory.created_at,
    "updated_at": Memory.updated_at,
    "timestamp": Memory.created_at,
    "expiration_date": Memory.expires_on,
    "text": Memory.content,
    "memory_ids": Memory.id,
}


@singledispatch
def to_sql(found: Filter) -> ColumnElement[bool]:
    """A condition on the columns of Memory; it may be null where the filter does not hold."""
    raise TypeError(type(found).__name__)


@to_sql.register
def _(found: And) -> ColumnElement[bool]:
    return and_(true(), *map(to_sql, found.parts))


@to_sql.register
def _(found: Or) -> ColumnElement[bool]:
    return or_(false(), *map(to_sql, found.parts))


@to_sql.register
def _(found: Not) -> ColumnElement[bool]:
    return to_sql(found.part).is_not(true())


@to_sql.register
def _(found: Present) -> ColumnElement[bool]:
    return COLUMNS[found.field].is_not(None)


@to_sql.register
def _(found: OneOf) -> ColumnElement[bool]:
    return COLUMNS[found.field].in_(found.values)


@to_sql.register
def _(found: Compare) -> ColumnElement[bool]:
    return COMPARE[found.operator](COLUMNS[found.field], found.moment)


@to_sql.register
def _(found: ContentContains) -> ColumnElement[bool]:
    return _has_within(Memory.content, found.text, any_case=found.any_case)


@to_sql.register
def _(found: InCategory) -> ColumnElement[bool]:
    overlap: ColumnElement[bool] = Memory.categories.overlap(list(found.names))
    return overlap


@to_sql.register
def _(found: CategoryContains) -> ColumnElement[bool]:
    category = func.unnest(Memory.categories).column_valued("category")
    return exists().where(_has_within(category, found.text, any_case=True))


@to_sql.register
def _(found: MetadataIs) -> ColumnElement[bool]:
    value: ColumnElement[Any] = func.coalesce(Memory.metadata_[found.key], _json("null"))
    return value == _json(found.value)


@to_sql.register
def _(found: MetadataContains) -> ColumnElement[bool]:
    stored = Memory.metadata_[found.key]
    element: ColumnElement[bool] = stored.contains(_json(json.dumps(found.value)))
    if not isinstance(found.value, str):
        return element
    return or_(element, and_(func.jsonb_typeof(stored) == "string", _has_within(stored.astext, found.value)))


@to_sql.register
def _(_: InDefaultProfile) -> ColumnElement[bool]:
    default = exists().where(Profile.id == Memory.profile_id, Profile.is_default)
    return or_(Memory.profile_id.is_(None), default)


@to_sql.register
def _(_: NotSuperseded) -> ColumnElement[bool]:
    return Memory.replaced_by.is_(None)


def _json(value: str) -> ColumnElement[Any]:
    return cast(literal(value, Text), JSONB)


def _has_within(text: SQLColumnExpression[str], part: str, *, any_case: bool = False) -> ColumnElement[bool]:
    """`strpos`, because LIKE would find a pattern in what somebody meant literally."""
    if any_case:
        return func.strpos(_folded(text), _folded(literal(part, Text))) > 0
    return func.strpos(text, part) > 0


def _folded(text: SQLColumnExpression[str]) -> ColumnElement[str]:
    """Up before down, so that the three sigmas, the long s and their like become one letter."""
    return func.lower(func.upper(text))


# ---------------------------------------------------------------- whom it is about
