"""A filter as a tree of conditions, and its translation to SQL. Pure; every value is a bound parameter.

A condition is true or not true of a memory, with nothing in between: a missing value and a null are the same, and
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

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    SQLColumnExpression,
    Text,
    Uuid,
    and_,
    any_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.core.ports import Role
from app.memory.ledger import Memory
from app.profiles.models import Profile

Comparison = Literal["gt", "gte", "lt", "lte"]
COMPARISON_OPERATORS: dict[Comparison, Callable[[Any, Any], ColumnElement[bool]]] = {
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
    """True where the part is not true, nulls included."""

    part: "Filter"


@dataclass(frozen=True, slots=True)
class Present:
    field: str


@dataclass(frozen=True, slots=True)
class OneOf:
    field: str
    values: tuple[str | uuid.UUID | bool, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    field: str
    operator: Comparison
    moment: dt.date | dt.datetime


@dataclass(frozen=True, slots=True)
class ContentContains:
    """The content of the memory contains this text."""

    text: str
    any_case: bool


@dataclass(frozen=True, slots=True)
class InCategory:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CategoryContains:
    """The name of one of the categories contains this text, in any case."""

    text: str


@dataclass(frozen=True, slots=True)
class MetadataIs:
    key: str
    value: str
    """As JSON, which distinguishes 1, "1" and true."""


@dataclass(frozen=True, slots=True)
class MetadataContains:
    """A text contains the value, a list has it as an element, any other value equals it."""

    key: str
    value: str | float | bool | None


@dataclass(frozen=True, slots=True)
class HasId:
    """One of any number of memories."""

    ids: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class InDefaultProfile:
    """In the default profile of a user, or of no user: the memories that a question without a user may see."""


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
    | HasId
    | InDefaultProfile
)


# ---------------------------------------------------------------- to SQL

LIFECYCLE_STATE = case(
    (Memory.archived_at.is_not(None), "archived"), (Memory.replaced_by.is_not(None), "superseded"), else_="active"
)
COLUMNS: dict[str, SQLColumnExpression[Any]] = {
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
    "replaced_by": Memory.replaced_by,
    "standing": Memory.standing,
    "source": func.coalesce(Memory.source, case((Memory.role == Role.ASSISTANT, "assistant"), else_="user")),
    "door": Memory.door,
    "kind": Memory.kind,
    "lifecycle_state": LIFECYCLE_STATE,
}


@singledispatch
def to_sql(found: Filter) -> ColumnElement[bool]:
    """A condition on the columns of Memory. It can be null, instead of false, where the filter does not hold."""
    raise TypeError(type(found).__name__)


@to_sql.register
def _and_to_sql(found: And) -> ColumnElement[bool]:
    return and_(true(), *map(to_sql, found.parts))


@to_sql.register
def _or_to_sql(found: Or) -> ColumnElement[bool]:
    return or_(false(), *map(to_sql, found.parts))


@to_sql.register
def _not_to_sql(found: Not) -> ColumnElement[bool]:
    return to_sql(found.part).is_not(true())


@to_sql.register
def _present_to_sql(found: Present) -> ColumnElement[bool]:
    return COLUMNS[found.field].is_not(None)


@to_sql.register
def _one_of_to_sql(found: OneOf) -> ColumnElement[bool]:
    return COLUMNS[found.field].in_(found.values)


@to_sql.register
def _compare_to_sql(found: Compare) -> ColumnElement[bool]:
    return COMPARISON_OPERATORS[found.operator](COLUMNS[found.field], found.moment)


@to_sql.register
def _content_contains_to_sql(found: ContentContains) -> ColumnElement[bool]:
    return _contains(Memory.content, found.text, any_case=found.any_case)


@to_sql.register
def _in_category_to_sql(found: InCategory) -> ColumnElement[bool]:
    overlap: ColumnElement[bool] = Memory.categories.overlap(list(found.names))
    return overlap


@to_sql.register
def _category_contains_to_sql(found: CategoryContains) -> ColumnElement[bool]:
    category = func.unnest(Memory.categories).column_valued("category")
    return exists().where(_contains(category, found.text, any_case=True))


@to_sql.register
def _metadata_is_to_sql(found: MetadataIs) -> ColumnElement[bool]:
    value: ColumnElement[Any] = func.coalesce(Memory.metadata_[found.key], _json("null"))
    return value == _json(found.value)


@to_sql.register
def _metadata_contains_to_sql(found: MetadataContains) -> ColumnElement[bool]:
    stored = Memory.metadata_[found.key]
    element: ColumnElement[bool] = stored.contains(_json(json.dumps(found.value)))
    if not isinstance(found.value, str):
        return element
    return or_(element, and_(func.jsonb_typeof(stored) == "string", _contains(stored.astext, found.value)))


@to_sql.register
def _has_id_to_sql(found: HasId) -> ColumnElement[bool]:
    return Memory.id == any_(literal(list(found.ids), ARRAY(Uuid)))


@to_sql.register
def _in_default_profile_to_sql(_: InDefaultProfile) -> ColumnElement[bool]:
    default = exists().where(Profile.id == Memory.profile_id, Profile.is_default)
    return or_(Memory.profile_id.is_(None), default)


def _json(value: str) -> ColumnElement[Any]:
    return cast(literal(value, Text), JSONB)


def _contains(text: SQLColumnExpression[str], part: str, *, any_case: bool = False) -> ColumnElement[bool]:
    """`strpos`, because LIKE would read the text as a pattern."""
    if any_case:
        return func.strpos(_folded(text), _folded(literal(part, Text))) > 0
    return func.strpos(text, part) > 0


def _folded(text: SQLColumnExpression[str]) -> ColumnElement[str]:
    """Upper case first, so that variants of a letter, such as the three sigmas and the long s, become one."""
    return func.lower(func.upper(text))
