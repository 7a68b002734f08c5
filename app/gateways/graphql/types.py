"""Types of the schema, made from the models of the routes: a field is listed once, and has one name everywhere."""

import datetime as dt
import types
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin
from uuid import UUID

import strawberry
from pydantic import AwareDatetime, BaseModel, ValidationError
from pydantic.fields import FieldInfo
from strawberry.scalars import JSON
from strawberry.types import get_object_definition
from strawberry.types.field import StrawberryField
from strawberry.types.scalar import ScalarDefinition

from app.core.errors import Unprocessable
from app.core.http.error_responses import describe_invalid_value
from app.gateways.mem0.responses import JsonObject

M = TypeVar("M", bound=BaseModel)
Resolver = Callable[..., Awaitable[object]]
DateTime = NewType("DateTime", str)
Date = NewType("Date", str)
PLAIN: Mapping[object, Any] = {
    **{each: each for each in (str, int, float, bool, UUID)},
    dt.datetime: DateTime,
    dt.date: Date,
}
NOTHING: Mapping[str, Any] = types.MappingProxyType({})


def _as_text(value: object) -> object:
    """A list arrives as Postgres renders it, and a row as Python does."""
    return value.isoformat() if isinstance(value, dt.date) else value


SCALARS: Mapping[object, ScalarDefinition] = {
    DateTime: strawberry.scalar(
        name="DateTime", description="A time such as 2026-01-31T09:30:00Z.", serialize=_as_text
    ),
    Date: strawberry.scalar(name="Date", description="A date such as 2026-01-31.", serialize=_as_text),
}


@cache
def output_type(model: type[BaseModel], name: str = "", **more: Any) -> Any:
    """An object of the schema with the fields of a model of responses. `more` are fields that it reads itself."""
    chosen = name or model.__name__
    fields = {
        each: (translate(info.annotation, output_type), strawberry.field(description=info.description))
        for each, info in model.model_fields.items()
    }
    return strawberry.type(_new_class(chosen, fields, more), name=chosen)


@cache
def input_type(model: type[BaseModel], name: str, left_out: frozenset[str] = frozenset(), **instead: Any) -> Any:
    """An input of the schema with the fields of a model of requests. What is left out keeps the model's default.

    It arrives as a dictionary for `read_input`. The package would make an object of it, which takes as long as the
    rest of a call."""
    fields = {
        each: _input_field(info, instead.get(each)) for each, info in model.model_fields.items() if each not in left_out
    }
    made = strawberry.input(_new_class(name, fields), name=name)
    get_object_definition(made, strict=True).from_input = lambda _, given, __: given
    return made


def _input_field(info: FieldInfo, instead: Any) -> tuple[Any, Any]:
    kind = instead or translate(info.annotation, lambda model: input_type(model, f"{model.__name__}Input"))
    if info.is_required():
        return kind, strawberry.field(description=info.description)
    return kind | None, strawberry.field(description=info.description, default=strawberry.UNSET)


def object_type(name: str, fields: Mapping[str, Any], description: str | None = None) -> Any:
    """An object of the schema that is no model."""
    given = {each: (kind, strawberry.field()) for each, kind in fields.items()}
    return strawberry.type(_new_class(name, given), name=name, description=description)


def list_of(kind: Any) -> Any:
    return list[kind]


def field_of(kind: Any, description: str, name: str | None = None) -> Callable[[Resolver], StrawberryField]:
    """Marks a function that reads or writes. Its field can be null, so that one that fails leaves the others."""

    def make_field(resolver: Resolver) -> StrawberryField:
        made: StrawberryField = strawberry.field(resolver, graphql_type=kind | None, description=description, name=name)
        return made

    return make_field


def page_type(name: str, of: Any) -> Any:
    return object_type(name, {"results": list_of(of), "next": str | None})


def _new_class(name: str, fields: Mapping[str, tuple[Any, Any]], more: Mapping[str, Any] = NOTHING) -> type:
    annotations = {each: kind for each, (kind, _) in fields.items()}
    values = {each: field for each, (_, field) in fields.items()}
    return type(name, (), {"__annotations__": annotations, **values, **more})


def translate(annotation: Any, nested: Any) -> Any:
    """The type of the schema for the type of a field of a model."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return translate(arguments[0], nested)
    if origin is Literal:
        return str
    if origin in (Union, types.UnionType):
        return _translate_union(arguments, nested)
    if origin is list:
        return list_of(translate(arguments[0], nested))
    return _translate_class(annotation, nested)


def _translate_union(arguments: Sequence[Any], nested: Any) -> Any:
    kinds = [translate(each, nested) for each in arguments if each is not type(None)]
    kind = kinds[0] if len(kinds) == 1 else str if set(kinds) <= {str, UUID} else JSON
    return kind | None if type(None) in arguments else kind


def _translate_class(annotation: Any, nested: Any) -> Any:
    if annotation in PLAIN:
        return PLAIN[annotation]
    if annotation is AwareDatetime:
        return DateTime
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return enum_type(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return nested(annotation)
    return JSON


@cache
def enum_type(values: type[StrEnum]) -> Any:
    """With the words of the other APIs as its names."""
    members = {each.value: each.value for each in values}
    return strawberry.enum(StrEnum(values.__name__, members))  # type: ignore[call-overload]


def read_input(model: type[M], given: JsonObject | None, **more: object) -> M:
    """What a client sent, as the model that the route reads it with."""
    try:
        return model.model_validate({**(given or {}), **more})
    except ValidationError as error:
        raise Unprocessable(
            describe_invalid_value(error.errors(include_url=False)[0]), code="invalid_request"
        ) from None
