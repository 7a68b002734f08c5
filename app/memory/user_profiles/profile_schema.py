"""The JSON schema of a user profile: a project's own or the default one, checked, and applied to answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.errors import BadRequest
from app.memory.categories import Category

Shape = dict[str, Any]
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
MAX_CHARACTERS = 20_000
MAX_PROPERTIES = 100
MAX_DEPTH = 5


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    enabled: bool
    schema: Shape | None
    instructions: str | None


def read_settings(settings: Mapping[str, Any]) -> ProfileSettings:
    return ProfileSettings(
        enabled=bool(settings.get("profiles_enabled")),
        schema=settings.get("profiles_schema") or None,
        instructions=settings.get("profiles_instructions") or None,
    )


def default_schema(categories: Sequence[Category]) -> Shape:
    """One property per category, for projects without a schema of their own."""
    return {
        "type": "object",
        "properties": {
            category.name: {
                "type": "array",
                "items": {"type": "string"},
                "description": "; ".join(category.descriptions) or category.name,
            }
            for category in categories
        },
    }


# ---------------------------------------------------------------- checks of a schema


def check_schema(schema: Shape) -> None:
    if len(json.dumps(schema)) > MAX_CHARACTERS:
        raise BadRequest(f"The schema is too long. The maximum is {MAX_CHARACTERS} characters")
    if schema.get("type", "object") != "object":
        raise BadRequest('The schema must describe an object: set its "type" to "object"')
    if storable(schema) != schema:
        raise BadRequest("The schema contains a NUL or an unpaired surrogate, which cannot be stored")
    _check_properties(schema, "", 1)


def _check_properties(schema: Shape, above: str, depth: int) -> None:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        raise BadRequest(f'The schema{_at(above)} needs "properties", an object with at least one property')
    if len(properties) > MAX_PROPERTIES or depth > MAX_DEPTH:
        raise BadRequest(
            f"The schema{_at(above)} may have at most {MAX_PROPERTIES} properties in each of at most {MAX_DEPTH} levels"
        )
    for name, wanted in properties.items():
        _check_property(f"{above}{name}"[-100:], wanted, depth)


def _check_property(name: str, wanted: object, depth: int) -> None:
    if not isinstance(wanted, dict) or not str(wanted.get("description") or "").strip():
        raise BadRequest(f"Every property of the schema needs a description. `{name}` has none")
    _check_types(f"property `{name}` has", wanted)
    if not isinstance(wanted.get("enum", []), list):
        raise BadRequest(f"The enum of `{name}` must be a list")
    if "properties" in wanted:
        _check_properties(wanted, f"{name}.", depth + 1)
    if "items" in wanted:
        _check_items(name, wanted["items"], depth)


def _check_items(name: str, items: object, depth: int) -> None:
    if not isinstance(items, dict):
        raise BadRequest(f"The items of `{name}` must be an object")
    _check_types(f"items of `{name}` have", items)
    if "properties" in items:
        _check_properties(items, f"{name}[].", depth + 1)


def _check_types(whose: str, wanted: Shape) -> None:
    given = wanted.get("type", [])
    kinds = given if isinstance(given, list) else [given]
    if not all(isinstance(kind, str) and kind in (*TYPES, "null") for kind in kinds):
        raise BadRequest(f"The {whose} an unknown type. Known types are {', '.join(TYPES)}")


def kinds_of(wanted: Shape) -> list[str]:
    """The types that a value may have; an empty list allows any. Null is allowed everywhere, for what is not known."""
    given = wanted.get("type", [])
    return [kind for kind in (given if isinstance(given, list) else [given]) if kind != "null"]


def _at(above: str) -> str:
    return f" of `{above.rstrip('.')}`" if above else ""


# ---------------------------------------------------------------- answers


def fit_to_schema(answer: Mapping[str, object], schema: Shape) -> Shape:
    """Every property of the schema and no other; null where the answer has no value that fits."""
    return {name: _fit_value(answer.get(name), wanted) for name, wanted in schema["properties"].items()}


def _fit_value(value: object, wanted: Shape) -> object:
    kinds = kinds_of(wanted)
    if (kinds and not any(_is_a(value, kind) for kind in kinds)) or value not in wanted.get("enum", [value]):
        return None
    if isinstance(value, list) and (items := wanted.get("items")):
        return [found for each in value if (found := _fit_value(each, items)) is not None]
    if isinstance(value, dict) and "properties" in wanted:
        return fit_to_schema(value, wanted)
    return storable(value)


def storable(value: object) -> object:
    """Postgres stores neither a NUL nor an unpaired surrogate, and a model may write either."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "ignore").decode()
    if isinstance(value, list):
        return [storable(each) for each in value]
    if isinstance(value, dict):
        return {storable(name): storable(each) for name, each in value.items()}
    return value


def _is_a(value: object, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def has_content(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(has_content(each) for each in value.values())
    return value not in (None, "", [])
