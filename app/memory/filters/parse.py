"""Parse mem0's filter grammar into a tree, or raise an error that says what is wrong.

A logical key and the keys beside it must all hold (mem0's platform drops an OR beside an AND), and `NOT` with a list
means none of them. A bare list means `in`; a bare date means that whole day in UTC. Accepted beyond mem0's platform:
`nin`, `eq` on dates, null for "has none", bare `keywords` and `categories`, dotted `metadata.key`, several users in
one `in`, and the fields `kind` and `lifecycle_state`.
"""

import ast
import datetime as dt
import json
import math
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.core.errors import BadRequest
from app.memory.filters.cost import check_cost
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
MAX_DEPTH = 24
"""Lists and objects within each other: ten logical levels and what a condition needs."""
MAX_VALUES = 10_000
MAX_CONDITIONS = 500
MAX_TEXT_LENGTH = 10_000
MAX_FILTER_LENGTH = 100_000
"""Of a whole filter in a query string."""
EXAMPLES = {"filters": '{"user_id": "alice"}', "metadata": '{"topic": "food"}', "weights": '{"similarity": 1}'}
"""Of the objects that a query string can contain."""


def parse_filters(raw: object) -> Filter:
    """None and an empty object restrict nothing and become And(())."""
    given = parse_object_text(raw, "filters") if isinstance(raw, str) else raw
    if _count_values(given, "filters") > MAX_VALUES:
        raise BadRequest(f"filters can contain at most {MAX_VALUES} values.")
    if given is None or given == {}:
        return And(())
    found = _parse_object(given)
    if _count_conditions(found) > MAX_CONDITIONS:
        raise BadRequest(f"filters can contain at most {MAX_CONDITIONS} conditions.")
    return check_cost(found)


def parse_object_text(text: str, where: str) -> object:
    """Read a parameter of a query string: JSON, or the `str()` of a dict, which mem0's Python client sends."""
    if len(text) > MAX_FILTER_LENGTH:
        raise BadRequest(f"{where} can have at most {MAX_FILTER_LENGTH} characters.")
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    raise BadRequest(f"{where} is not valid JSON. Send an object such as {EXAMPLES[where]}.")


def negate(part: Filter) -> Filter:
    return part.part if isinstance(part, Not) else Not(part)


# ---------------------------------------------------------------- limits


def _count_values(value: object, where: str, depth: int = 0) -> int:
    """Counts the values, and checks that each is JSON, not nested too deep, and possible to store."""
    if depth > MAX_DEPTH:
        raise BadRequest(f"filters can nest lists and objects at most {MAX_DEPTH} levels deep.")
    if isinstance(value, dict):
        return 1 + sum(_count_entry(key, each, where, depth + 1) for key, each in value.items())
    if isinstance(value, list):
        return 1 + sum(_count_values(each, where, depth + 1) for each in value)
    _check_scalar(value, where)
    return 1


def _count_entry(key: object, value: object, where: str, depth: int) -> int:
    if not isinstance(key, str):
        raise BadRequest(f"Every key in {where} must be a string.")
    _check_scalar(key, f"A key of {where}")
    return _count_values(value, _shorten(key) if where == "filters" else f"{where}.{_shorten(key)}", depth)


def _check_scalar(value: object, where: str) -> None:
    if isinstance(value, str):
        if len(value) > MAX_TEXT_LENGTH or "\0" in value or _has_lone_surrogate(value):
            raise BadRequest(f"{where} must be valid text without NUL, of at most {MAX_TEXT_LENGTH} characters.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadRequest(f"{where} must be a finite number.")
    elif not isinstance(value, int | float | None):
        raise BadRequest(f"{where} contains a value that does not exist in JSON.")


def _has_lone_surrogate(text: str) -> bool:
    """JSON can carry half of a surrogate pair, which cannot be encoded as UTF-8."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _shorten(key: str) -> str:
    return key if len(key) <= 40 else f"{key[:40]}…"


def _count_conditions(found: Filter) -> int:
    match found:
        case And(parts) | Or(parts):
            return sum(map(_count_conditions, parts))
        case Not(part):
            return _count_conditions(part)
    return 1


# ---------------------------------------------------------------- logic


def _parse_object(given: object) -> Filter:
    if not isinstance(given, dict) or not given:
        raise BadRequest('filters must be objects with at least one condition, such as {"user_id": "alice"}.')
    return _all_of([_parse_entry(key, value) for key, value in given.items()])


def _all_of(parts: list[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _parse_entry(key: str, value: object) -> Filter:
    if key in LOGICAL:
        return _parse_logical(key, value)
    if key == "metadata":
        return _parse_metadata(value)
    if key.startswith("metadata."):
        return _parse_metadata_key(key.removeprefix("metadata."), value)
    name = ALIASES.get(key, key)
    if name not in FIELDS:
        raise BadRequest(
            f"Unknown filter field '{_shorten(key)}'. Use {_enumerate([*LOGICAL, *FIELDS, 'metadata'])};"
            " put keys of your own under metadata."
        )
    field_type = FIELDS[name]
    clauses = _clauses(key, value, field_type)
    return _all_of([_parse_condition(name, field_type, op, operand) for op, operand in clauses])


def _parse_logical(key: str, value: object) -> Filter:
    parts = [value] if key == "NOT" and isinstance(value, dict) else value
    if not isinstance(parts, list) or not parts:
        expected = "an object or a list" if key == "NOT" else "a list"
        raise BadRequest(f"{key} must be {expected} with at least one condition.")
    operands = [_parse_object(part) for part in parts]
    if key == "NOT":
        return negate(operands[0] if len(operands) == 1 else Or(tuple(operands)))
    return _all_of(operands) if key == "AND" else Or(tuple(operands))


def _enumerate(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


# ---------------------------------------------------------------- fields


@dataclass(frozen=True, slots=True)
class FieldType:
    """What conditions on a field look like."""

    bare_operator: str
    """The operator that a plain value stands for."""
    operators: tuple[str, ...]
    parse: Callable[[str, str, object], Filter]
    """From field, operator and operand. It is never called with a negated operator."""


def _clauses(field: str, value: object, field_type: FieldType) -> list[tuple[str, object]]:
    """Pairs of operator and operand, whichever of the short forms the client used."""
    if isinstance(value, list):
        value = {"in": value}
    elif not isinstance(value, dict):
        bare = field_type.bare_operator
        value = {bare: [value] if bare == "in" else value}
    unknown = [op for op in value if op not in field_type.operators]
    if unknown or not value:
        rejected = f"the operator '{_shorten(unknown[0])}'" if unknown else "an empty object"
        accepted = _enumerate(["a plain value", *field_type.operators])
        raise BadRequest(f"{field} does not accept {rejected}. It accepts {accepted}.")
    return list(value.items())


def _parse_condition(field: str, field_type: FieldType, op: str, operand: object) -> Filter:
    if op in NEGATED:
        return negate(field_type.parse(field, NEGATED[op], operand))
    return field_type.parse(field, op, operand)


def _list(field: str, operand: object) -> list[object]:
    if not isinstance(operand, list):
        raise BadRequest(f"{field} with `in` must be a list.")
    return operand


def _texts(field: str, op: str, operand: object) -> tuple[str, ...]:
    values = _list(field, operand) if op == "in" else [operand]
    return tuple(_text(field, op, value) for value in values)


def _text(field: str, op: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRequest(f"{field} with `{op}` must be text.")
    return str(value)


def _parse_entity(field: str, op: str, operand: object) -> Filter:
    if operand is None:
        return Not(Present(field))
    values = _texts(field, op, operand)
    if "" in values:
        raise BadRequest(f"{field} is empty. Omit it if it is not meant.")
    return Present(field) if "*" in values else OneOf(field, values)


def _parse_choice(field: str, op: str, operand: object) -> Filter:
    """A word that no memory can have is a mistake, and not a condition that none meets."""
    values = _texts(field, op, operand)
    if unknown := [value for value in values if value not in CHOICES[field]]:
        raise BadRequest(f"{field} cannot be '{_shorten(unknown[0])}'. Use {_enumerate(CHOICES[field])}.")
    return OneOf(field, values)


def _parse_content(field: str, op: str, operand: object) -> Filter:
    texts = _texts(field, op, operand)
    return OneOf(field, texts) if op in ("eq", "in") else ContentContains(texts[0], any_case=op == "icontains")


def _parse_keywords_search(field: str, op: str, operand: object) -> Filter:
    """Every word occurs in the memory, in any order and any case."""
    words = _text(field, op, operand).split()
    if not words:
        raise BadRequest(f"{field} must contain at least one word.")
    return _all_of([ContentContains(word, any_case=True) for word in words])


def _parse_category(field: str, op: str, operand: object) -> Filter:
    texts = _texts(field, op, operand)
    return InCategory(texts) if op == "in" else CategoryContains(texts[0])


def _parse_standing(field: str, op: str, operand: object) -> Filter:
    if not isinstance(operand, bool):
        raise BadRequest(f"{field} with `{op}` must be true or false.")
    return OneOf(field, (operand,))


def _parse_source(field: str, op: str, operand: object) -> Filter:
    return OneOf(field, _texts(field, op, operand))


def _parse_ids(field: str, op: str, operand: object) -> Filter:
    try:
        return OneOf(field, tuple(uuid.UUID(text) for text in _texts(field, op, operand)))
    except ValueError:
        raise BadRequest(f"{field} must contain ids of memories, which are UUIDs.") from None


def _parse_date(field: str, op: str, operand: object) -> Filter:
    if op == "in":
        return Or(tuple(_parse_date(field, "eq", value) for value in _list(field, operand)))
    if op == "eq" and operand is None:
        return Not(Present(field))
    first, last = _interval(field, op, operand)
    if op == "eq":
        return And((Compare(field, "gte", first), Compare(field, "lte", last)))
    return Compare(field, COMPARISONS[op], last if op in ("gt", "lte") else first)


def _interval(field: str, op: str, value: object) -> tuple[dt.date, dt.date]:
    """The first and the last instant that the value stands for: a date is a whole day, or one date of expiry."""
    try:
        moment = parse_moment(value)
    except (ValueError, OverflowError, OSError):
        raise BadRequest(
            f"{field} with `{op}` must be a date such as 2026-01-31, a time such as 2026-01-31T09:30:00Z, or seconds"
            " since 1970."
        ) from None
    if field == "expiration_date":
        day = moment.date() if isinstance(moment, dt.datetime) else moment
        return day, day
    if isinstance(moment, dt.datetime):
        return moment, moment
    return dt.datetime.combine(moment, dt.time.min, dt.UTC), dt.datetime.combine(moment, dt.time.max, dt.UTC)


def parse_moment(value: object) -> dt.date:
    """A date, a time (in UTC unless it has an offset), or seconds since 1970. Raises ValueError for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return dt.datetime.fromtimestamp(value, dt.UTC)
    # Python also parses 20260131 and 2026W05, which are more likely mistakes.
    if not isinstance(value, str) or value[4:5] != "-":
        raise ValueError
    if len(value) <= len("2026-01-31"):
        return dt.date.fromisoformat(value)
    moment = dt.datetime.fromisoformat(value)
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


COMPARISONS: dict[str, Comparison] = {"gt": "gt", "gte": "gte", "lt": "lt", "lte": "lte"}
ENTITY = FieldType("eq", ("eq", "ne", "in", "nin"), _parse_entity)
DATE = FieldType("eq", ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"), _parse_date)
SOURCE = FieldType("eq", ("eq", "ne", "in", "nin"), _parse_source)
CHOICES = {"kind": ("fact", "episode", "summary"), "lifecycle_state": ("active", "superseded", "archived")}
CHOICE = FieldType("eq", ("eq", "ne", "in", "nin"), _parse_choice)
FIELDS = {
    "user_id": ENTITY,
    "agent_id": ENTITY,
    "app_id": ENTITY,
    "run_id": ENTITY,
    "created_at": DATE,
    "updated_at": DATE,
    "timestamp": DATE,
    "expiration_date": DATE,
    "text": FieldType("eq", ("eq", "ne", "in", "nin", "contains", "icontains"), _parse_content),
    "categories": FieldType("in", ("in", "nin", "contains"), _parse_category),
    "keywords": FieldType("icontains", ("contains", "icontains"), _parse_content),
    "keywords_search": FieldType("icontains", ("icontains",), _parse_keywords_search),
    "kind": CHOICE,
    "lifecycle_state": CHOICE,
    "memory_ids": FieldType("in", ("in", "nin"), _parse_ids),
    "replaced_by": FieldType("in", ("in", "nin"), _parse_ids),
    "standing": FieldType("eq", ("eq", "ne"), _parse_standing),
    "source": SOURCE,
    "door": SOURCE,
}


# ---------------------------------------------------------------- metadata


def _parse_metadata(value: object) -> Filter:
    if isinstance(value, str):
        value = parse_object_text(value, "metadata")
        _count_values(value, "metadata")
    if not isinstance(value, dict) or not value:
        raise BadRequest('metadata must be an object with at least one key, such as {"topic": "food"}.')
    return _all_of([_parse_metadata_key(key, each) for key, each in value.items()])


def _parse_metadata_key(key: str, value: object) -> Filter:
    """An object with an operator in it is a condition; any other object is a value to equal."""
    clauses = value if isinstance(value, dict) and KNOWN_OPERATORS & value.keys() else {"eq": value}
    return _all_of([_parse_metadata_condition(key, op, operand) for op, operand in clauses.items()])


def _parse_metadata_condition(key: str, op: str, operand: object) -> Filter:
    if op == "eq":
        return MetadataIs(key, json.dumps(operand))
    if op == "ne":
        return Not(MetadataIs(key, json.dumps(operand)))
    field = f"metadata.{_shorten(key)}"
    if op != "contains":
        rejected = f"the operator '{_shorten(op)}'"
        raise BadRequest(f"{field} does not accept {rejected}. It accepts a plain value, eq, ne and contains.")
    if not isinstance(operand, str | int | float | None):
        raise BadRequest(f"{field} with `contains` must be text, a number, true, false or null.")
    return MetadataContains(key, operand)
