"""Read mem0's filter grammar into a tree, or say in one sentence what is wrong with it.

Logical keys and their neighbours all hold (mem0's platform drops an OR beside an AND), and `NOT` with a list means none
of it. A bare list means `in`; a bare date is that whole day in UTC. More than the platform takes: `nin`, `eq` on dates,
null for "has none", bare `keywords` and `categories`, dotted `metadata.key`, several users in one `in`.
"""

import ast
import datetime as dt
import json
import math
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.core.errors import BadRequest
from app.memory.filters.tree import (
    And,
    CategoryContains,
    Compare,
    Comparison,
    ContentContains,
    Filter,
    InCategory,
    MetadataContains,
    MetadataIs,
    Not,
    OneOf,
    Or,
    Present,
)

ALIASES = {
    "session_id": "run_id",
    "userId": "user_id",
    "agentId": "agent_id",
    "appId": "app_id",
    "runId": "run_id",
    "sessionId": "run_id",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "expirationDate": "expiration_date",
    "memoryIds": "memory_ids",
    "keywordsSearch": "keywords_search",
}
LOGICAL = ("AND", "OR", "NOT")
NEGATED = {"ne": "eq", "nin": "in"}
KNOWN_OPERATORS = {"eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "icontains"}
DEEPEST = 24
"""Lists and objects within each other: ten logical levels and what a condition needs."""
MOST_VALUES = 10_000
MOST_CONDITIONS = 500
LONGEST_TEXT = 10_000
LONGEST_WRITTEN = 100_000
"""Of a whole filter in a query string."""


def parse_filters(raw: object) -> Filter:
    """None and an empty object ask for nothing in particular, which is And(())."""
    given = parse_object_text(raw, "filters") if isinstance(raw, str) else raw
    if _measure(given, "filters") > MOST_VALUES:
        raise BadRequest(f"filters may hold {MOST_VALUES} values at most")
    if given is None or given == {}:
        return And(())
    found = _group(given)
    if _count(found) > MOST_CONDITIONS:
        raise BadRequest(f"filters may hold {MOST_CONDITIONS} conditions at most")
    return found


def negate(part: Filter) -> Filter:
    return part.part if isinstance(part, Not) else Not(part)


def parse_object_text(written: str, where: str) -> object:
    """From a query string: JSON, or what `str()` made of a dict, which is what mem0's Python client sends."""
    if len(written) > LONGEST_WRITTEN:
        raise BadRequest(f"{where} may have {LONGEST_WRITTEN} characters at most")
    for read in (json.loads, ast.literal_eval):
        try:
            return read(written)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    raise BadRequest(f'{where} cannot be read: send a JSON object such as {{"user_id": "alice"}}')


def _measure(value: object, where: str, depth: int = 0) -> int:
    """How many values there are, having made sure that each is JSON and none too deep or impossible to store."""
    if depth > DEEPEST:
        raise BadRequest(f"filters may be nested {DEEPEST} lists and objects deep at most")
    if isinstance(value, dict):
        return 1 + sum(_measure_entry(key, each, where, depth + 1) for key, each in value.items())
    if isinstance(value, list):
        return 1 + sum(_measure(each, where, depth + 1) for each in value)
    _check_scalar(value, where)
    return 1


def _measure_entry(key: object, value: object, where: str, depth: int) -> int:
    if not isinstance(key, str):
        raise BadRequest(f"Every key in {where} must be text")
    _check_scalar(key, f"a key of {where}")
    return _measure(value, _shown(key) if where == "filters" else f"{where}.{_shown(key)}", depth)


def _check_scalar(value: object, where: str) -> None:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT or "\0" in value or _broken(value):
            raise BadRequest(f"{where} takes text of at most {LONGEST_TEXT} characters, all of them valid and none NUL")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadRequest(f"{where} takes finite numbers only")
    elif not isinstance(value, int | float | None):
        raise BadRequest(f"{where} holds something that JSON does not have")


def _broken(text: str) -> bool:
    """Half a surrogate pair can arrive in JSON, and cannot be written as UTF-8."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _shown(key: str) -> str:
    return key if len(key) <= 40 else f"{key[:40]}…"


def _count(found: Filter) -> int:
    match found:
        case And(parts) | Or(parts):
            return sum(map(_count, parts))
        case Not(part):
            return _count(part)
    return 1


def _group(given: object) -> Filter:
    if not isinstance(given, dict) or not given:
        raise BadRequest('filters are objects with at least one condition, such as {"user_id": "alice"}')
    return _all([_entry(key, value) for key, value in given.items()])


def _all(parts: list[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _entry(key: str, value: object) -> Filter:
    if key in LOGICAL:
        return _logical(key, value)
    if key == "metadata":
        return _metadata(value)
    if key.startswith("metadata."):
        return _metadata_key(key.removeprefix("metadata."), value)
    name = ALIASES.get(key, key)
    if name not in FIELDS:
        raise BadRequest(
            f"'{_shown(key)}' is not a field of filters: there are {_listed([*LOGICAL, *FIELDS, 'metadata'])},"
            " and keys of your own belong under metadata"
        )
    kind = FIELDS[name]
    return _all([_condition(name, kind, op, operand) for op, operand in _clauses(key, value, kind)])


def _logical(key: str, value: object) -> Filter:
    parts = [value] if key == "NOT" and isinstance(value, dict) else value
    if not isinstance(parts, list) or not parts:
        takes = "an object or a list" if key == "NOT" else "a list"
        raise BadRequest(f"{key} takes {takes} with at least one condition")
    groups = [_group(part) for part in parts]
    if key == "NOT":
        return negate(groups[0] if len(groups) == 1 else Or(tuple(groups)))
    return _all(groups) if key == "AND" else Or(tuple(groups))


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


# ---------------------------------------------------------------- fields


@dataclass(frozen=True, slots=True)
class FieldType:
    """What conditions on a field look like. `bare` is the operator that a plain value stands for."""

    bare: str
    operators: tuple[str, ...]
    read: Callable[[str, str, object], Filter]


def _clauses(field: str, value: object, kind: FieldType) -> list[tuple[str, object]]:
    if isinstance(value, list):
        value = {"in": value}
    elif not isinstance(value, dict):
        value = {kind.bare: [value] if kind.bare == "in" else value}
    unknown = [op for op in value if op not in kind.operators]
    if unknown or not value:
        said = f"the operator '{_shown(unknown[0])}'" if unknown else "an empty object"
        raise BadRequest(f"{field} does not take {said}: it takes a plain value, {_listed(kind.operators)}")
    return list(value.items())


def _condition(field: str, kind: FieldType, op: str, operand: object) -> Filter:
    if op in NEGATED:
        return negate(kind.read(field, NEGATED[op], operand))
    return kind.read(field, op, operand)


def _listing(field: str, operand: object) -> list[object]:
    if not isinstance(operand, list):
        raise BadRequest(f"{field} in takes a list")
    return operand


def _texts(field: str, op: str, operand: object) -> tuple[str, ...]:
    values = _listing(field, operand) if op == "in" else [operand]
    return tuple(_text(field, op, value) for value in values)


def _text(field: str, op: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRequest(f"{field} {op} takes text")
    return str(value)


def _read_entity(field: str, op: str, operand: object) -> Filter:
    if operand is None:
        return Not(Present(field))
    values = _texts(field, op, operand)
    return Present(field) if "*" in values else OneOf(field, values)


def _read_words(field: str, op: str, operand: object) -> Filter:
    texts = _texts(field, op, operand)
    return OneOf(field, texts) if op in ("eq", "in") else ContentContains(texts[0], any_case=op == "icontains")


def _read_search(field: str, op: str, operand: object) -> Filter:
    """Every word somewhere in the memory, in any order and any case."""
    words = _text(field, op, operand).split()
    if not words:
        raise BadRequest(f"{field} takes at least one word")
    return _all([ContentContains(word, any_case=True) for word in words])


def _read_category(field: str, op: str, operand: object) -> Filter:
    texts = _texts(field, op, operand)
    return InCategory(texts) if op == "in" else CategoryContains(texts[0])


def _read_ids(field: str, op: str, operand: object) -> Filter:
    try:
        return OneOf(field, tuple(uuid.UUID(text) for text in _texts(field, op, operand)))
    except ValueError:
        raise BadRequest(f"{field} takes ids of memories, which are UUIDs") from None


def _read_date(field: str, op: str, operand: object) -> Filter:
    if op == "in":
        return Or(tuple(_read_date(field, "eq", value) for value in _listing(field, operand)))
    if op == "eq" and operand is None:
        return Not(Present(field))
    first, last = _moments(field, op, operand)
    if op == "eq":
        return And((Compare(field, "gte", first), Compare(field, "lte", last)))
    return Compare(field, COMPARISONS[op], last if op in ("gt", "lte") else first)


def _moments(field: str, op: str, value: object) -> tuple[dt.date, dt.date]:
    """From the first to the last instant that the value stands for."""
    try:
        when = parse_moment(value)
    except (ValueError, OverflowError, OSError):
        raise BadRequest(
            f"{field} {op} takes a date such as 2026-01-31, a time such as 2026-01-31T09:30:00Z, or seconds since 1970"
        ) from None
    if field == "expiration_date":
        day = when.date() if isinstance(when, dt.datetime) else when
        return day, day
    if isinstance(when, dt.datetime):
        return when, when
    return dt.datetime.combine(when, dt.time.min, dt.UTC), dt.datetime.combine(when, dt.time.max, dt.UTC)


def parse_moment(value: object) -> dt.date:
    """A day or a moment: a date, a time (in UTC unless it says otherwise), seconds since 1970. Else a ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return dt.datetime.fromtimestamp(value, dt.UTC)
    # Python also reads 20260131 and 2026W05, which are more likely somebody's mistake.
    if not isinstance(value, str) or value[4:5] != "-":
        raise ValueError
    if len(value) <= len("2026-01-31"):
        return dt.date.fromisoformat(value)
    when = dt.datetime.fromisoformat(value)
    return when.astimezone(dt.UTC) if when.tzinfo else when.replace(tzinfo=dt.UTC)


COMPARISONS: dict[str, Comparison] = {"gt": "gt", "gte": "gte", "lt": "lt", "lte": "lte"}
ENTITY = FieldType("eq", ("eq", "ne", "in", "nin"), _read_entity)
DATE = FieldType("eq", ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"), _read_date)
FIELDS = {
    "user_id": ENTITY,
    "agent_id": ENTITY,
    "app_id": ENTITY,
    "run_id": ENTITY,
    "created_at": DATE,
    "updated_at": DATE,
    "timestamp": DATE,
    "expiration_date": DATE,
    "text": FieldType("eq", ("eq", "ne", "in", "nin", "contains", "icontains"), _read_words),
    "categories": FieldType("in", ("in", "nin", "contains"), _read_category),
    "keywords": FieldType("icontains", ("contains", "icontains"), _read_words),
    "keywords_search": FieldType("icontains", ("icontains",), _read_search),
    "memory_ids": FieldType("in", ("in", "nin"), _read_ids),
}


# ---------------------------------------------------------------- metadata


def _metadata(value: object) -> Filter:
    if isinstance(value, str):
        value = parse_object_text(value, "metadata")
        _measure(value, "metadata")
    if not isinstance(value, dict) or not value:
        raise BadRequest('metadata takes an object with at least one key, such as {"topic": "food"}')
    return _all([_metadata_key(key, each) for key, each in value.items()])


def _metadata_key(key: str, value: object) -> Filter:
    """An object with an operator in it is a clause; any other is a value, to be met exactly."""
    clauses = value if isinstance(value, dict) and KNOWN_OPERATORS & value.keys() else {"eq": value}
    return _all([_metadata_condition(key, op, operand) for op, operand in clauses.items()])


def _metadata_condition(key: str, op: str, operand: object) -> Filter:
    if op == "eq":
        return MetadataIs(key, json.dumps(operand))
    if op == "ne":
        return Not(MetadataIs(key, json.dumps(operand)))
    if op != "contains":
        raise BadRequest(
            f"metadata.{_shown(key)} does not take the operator '{_shown(op)}':"
            " it takes a plain value, eq, ne and contains"
        )
    if not isinstance(operand, str | int | float | None):
        raise BadRequest(f"metadata.{_shown(key)} contains takes a text, a number, true, false or null")
    return MetadataContains(key, operand)
