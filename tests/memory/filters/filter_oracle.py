"""mem0's filter grammar evaluated in plain Python, to compare with the translation to SQL."""

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal

from app.memory.ledger import Memory

NAMES = {
    "session_id": "run_id",
    "userId": "user_id",
    "agentId": "agent_id",
    "appId": "app_id",
    "runId": "run_id",
    "sessionId": "run_id",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "expirationDate": "expires_on",
    "expiration_date": "expires_on",
    "timestamp": "created_at",
    "memoryIds": "memory_ids",
    "keywordsSearch": "keywords_search",
}
LISTED_BARE = {"categories", "memory_ids"}
OPERATORS = {"eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "icontains"}


def matches(given: object, memory: Memory) -> bool:
    assert isinstance(given, dict)
    return all(holds(key, value, memory) for key, value in given.items())


def holds(key: str, value: object, memory: Memory) -> bool:
    if key in ("AND", "OR", "NOT"):
        parts = value if isinstance(value, list) else [value]
        found = [matches(each, memory) for each in parts]
        return {"AND": all(found), "OR": any(found), "NOT": not any(found)}[key]
    if key == "metadata":
        assert isinstance(value, dict)
        return all(metadata_holds(name, each, memory) for name, each in value.items())
    if key.startswith("metadata."):
        return metadata_holds(key[len("metadata.") :], value, memory)
    name = NAMES.get(key, key)
    if isinstance(value, list):
        value = {"in": value}
    elif not isinstance(value, dict):
        bare = "in" if name in LISTED_BARE else "icontains" if name.startswith("keywords") else "eq"
        value = {bare: [value] if bare == "in" else value}
    return all(clause_holds(name, op, operand, memory) for op, operand in value.items())


def clause_holds(name: str, op: str, operand: object, memory: Memory) -> bool:
    if op == "ne":
        return not clause_holds(name, "eq", operand, memory)
    if op == "nin":
        return not clause_holds(name, "in", operand, memory)
    if name in ("created_at", "updated_at", "expires_on"):
        return date_holds(getattr(memory, name), op, operand)
    if name == "categories":
        return category_holds(memory.categories, op, operand)
    if name == "memory_ids":
        assert isinstance(operand, list)
        return str(memory.id) in [str(each).lower() for each in operand]
    if name == "keywords_search":
        return all(fold(word) in fold(memory.content) for word in str(operand).split())
    if name in ("text", "keywords"):
        return text_holds(memory.content, op, operand)
    return entity_holds(getattr(memory, name), op, operand)


def entity_holds(stored: str | None, op: str, operand: object) -> bool:
    if op == "in":
        assert isinstance(operand, list)
        return any(entity_holds(stored, "eq", each) for each in operand)
    if operand is None:
        return stored is None
    return stored is not None if operand == "*" else stored == str(operand)


def text_holds(stored: str, op: str, operand: object) -> bool:
    if op == "in":
        assert isinstance(operand, list)
        return stored in operand
    if op == "eq":
        return stored == operand
    return str(operand) in stored if op == "contains" else fold(str(operand)) in fold(stored)


def fold(text: str) -> str:
    """Postgres maps each letter to one letter: to upper case where that is a single letter, then to lower case."""
    raised = (each.upper() if len(each.upper()) == 1 else each for each in text)
    return "".join(each.lower()[0] for each in raised)


def category_holds(stored: list[str] | None, op: str, operand: object) -> bool:
    if op == "in":
        assert isinstance(operand, list)
        return bool(set(stored or ()) & set(operand))
    return any(fold(str(operand)) in fold(each) for each in stored or ())


def date_holds(stored: dt.datetime | dt.date | None, op: str, operand: object) -> bool:
    if op == "in":
        assert isinstance(operand, list)
        return any(date_holds(stored, "eq", each) for each in operand)
    if stored is None or operand is None:
        return op == "eq" and stored is operand
    if not isinstance(stored, dt.datetime):
        day = instant(operand).date()
        place = (stored > day) - (stored < day)
    elif isinstance(operand, str) and len(operand) == 10:
        day = dt.date.fromisoformat(operand)
        place = (stored.date() > day) - (stored.date() < day)
    else:
        place = (stored > instant(operand)) - (stored < instant(operand))
    return {"eq": place == 0, "gt": place > 0, "gte": place >= 0, "lt": place < 0, "lte": place <= 0}[op]


def instant(value: object) -> dt.datetime:
    if isinstance(value, int | float):
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=value)
    read = dt.datetime.fromisoformat(str(value))
    return (read if read.tzinfo else read.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


def metadata_holds(key: str, value: object, memory: Memory) -> bool:
    if not isinstance(value, dict) or not OPERATORS & set(value):
        value = {"eq": value}
    return all(metadata_clause_holds(memory.metadata_, key, op, operand) for op, operand in value.items())


def metadata_clause_holds(metadata: Mapping[str, object], key: str, op: str, operand: object) -> bool:
    stored = metadata.get(key)
    if op == "eq":
        return same(stored, operand)
    if op == "ne":
        return not same(stored, operand)
    if isinstance(stored, str) and isinstance(operand, str):
        return operand in stored
    if isinstance(stored, list):
        return any(same(each, operand) for each in stored)
    return key in metadata and same(stored, operand)


def same(one: object, other: object) -> bool:
    """Equal as JSON: true is not 1, 1 equals 1.0, and the order of keys does not matter."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return Decimal(json.dumps(one)) == Decimal(json.dumps(other))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other
