"""What a portrait is to hold: a project's JSON schema, the usual one, and answers held against it. Asks nobody."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.errors import BadRequest
from app.memory.categories.taxonomy import Category

Shape = dict[str, Any]
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
MOST_CHARACTERS = 20_000
MOST_PROPERTIES = 100
DEEPEST = 5


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    enabled: bool
    schema: Shape | None
    instructions: str | None


def read_settings(settings: Mapping[str, Any]) -> ProfileSettings:
    return ProfileSettings(
        bool(settings.get("profiles_enabled")),
        settings.get("profiles_schema") or None,
        settings.get("profiles_instructions") or None,
    )


def usual_schema(categories: Sequence[Category]) -> Shape:
    """Where a project has none of its own: for each category what is known of it."""
    return {
        "type": "object",
        "properties": {
            each.name: {"type": "array", "items": {"type": "string"}, "description": "; ".join(each.says) or each.name}
            for each in categories
        },
    }


# ---------------------------------------------------------------- is this a schema?


def check_schema(schema: Shape) -> None:
    if len(json.dumps(schema)) > MOST_CHARACTERS:
        raise BadRequest(f"The schema is too long: it takes {MOST_CHARACTERS} characters at most")
    if schema.get("type", "object") != "object":
        raise BadRequest('The schema describes an object: its "type" is "object"')
    if storable(schema) != schema:
        raise BadRequest("The schema must hold neither a NUL nor half a character: nothing can store them")
    _check_properties(schema, "", 1)


def _check_properties(schema: Shape, above: str, depth: int) -> None:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        raise BadRequest(f'The schema{_at(above)} needs "properties": an object with at least one')
    if len(properties) > MOST_PROPERTIES or depth > DEEPEST:
        raise BadRequest(f"The schema{_at(above)} takes {MOST_PROPERTIES} properties, and {DEEPEST} levels of them")
    for name, wanted in properties.items():
        _check_property(f"{above}{name}"[-100:], wanted, depth)


def _check_property(name: str, wanted: object, depth: int) -> None:
    if not isinstance(wanted, dict) or not str(wanted.get("description") or "").strip():
        raise BadRequest(f"Every property of the schema needs a description: `{name}` has none")
    _check_types(f"property `{name}` has", wanted)
    if not isinstance(wanted.get("enum", []), list):
        raise BadRequest(f"The enum of `{name}` is not a list")
    if "properties" in wanted:
        _check_properties(wanted, f"{name}.", depth + 1)
    if "items" in wanted:
        _check_items(name, wanted["items"], depth)


def _check_items(name: str, items: object, depth: int) -> None:
    if not isinstance(items, dict):
        raise BadRequest(f"The items of `{name}` are described by an object")
    _check_types(f"items of `{name}` have", items)
    if "properties" in items:
        _check_properties(items, f"{name}[].", depth + 1)


def _check_types(whose: str, wanted: Shape) -> None:
    given = wanted.get("type", [])
    kinds = given if isinstance(given, list) else [given]
    if not all(isinstance(kind, str) and kind in (*TYPES, "null") for kind in kinds):
        raise BadRequest(f"The {whose} a type that is none of {', '.join(TYPES)}")


def kinds_of(wanted: Shape) -> list[str]:
    """The types a value may have; none means any. Null is allowed everywhere: much is not known."""
    given = wanted.get("type", [])
    return [kind for kind in (given if isinstance(given, list) else [given]) if kind != "null"]


def _at(above: str) -> str:
    return f" of `{above.rstrip('.')}`" if above else ""


# ---------------------------------------------------------------- what was answered


def read_answer(answer: str) -> Shape | None:
    """The JSON object in it; None where there is none."""
    match = re.search(r"\{.*\}", answer, re.DOTALL)
    try:
        said = json.loads(match[0]) if match else None
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def fit(said: Mapping[str, object], schema: Shape) -> Shape:
    """Of each property what was said about it, if it is what was asked for; null otherwise, and nothing besides."""
    return {name: _fit(said.get(name), wanted) for name, wanted in schema["properties"].items()}


def _fit(value: object, wanted: Shape) -> object:
    kinds = kinds_of(wanted)
    if (kinds and not any(_is_a(value, kind) for kind in kinds)) or value not in wanted.get("enum", [value]):
        return None
    if isinstance(value, list) and (items := wanted.get("items")):
        return [found for each in value if (found := _fit(each, items)) is not None]
    if isinstance(value, dict) and "properties" in wanted:
        return fit(value, wanted)
    return storable(value)


def storable(value: object) -> object:
    """Postgres stores neither a NUL nor half a character, and a model may write either."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "ignore").decode()
    if isinstance(value, list):
        return [storable(each) for each in value]
    if isinstance(value, dict):
        return {storable(name): storable(each) for name, each in value.items()}
    return value


def _is_a(value: object, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def says_something(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(says_something(each) for each in value.values())
    return value not in (None, "", [])
