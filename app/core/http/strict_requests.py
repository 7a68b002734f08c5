"""Requests to Keepsake's own routes with an unknown field or query parameter are refused: a misspelt name never passes
for a default. The routes that other products' clients call ignore what they do not know, as those clients expect."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextvars import ContextVar
from functools import wraps
from typing import Any, get_args

from fastapi import APIRouter, Request, Response, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AliasChoices, BaseModel, ConfigDict
from pydantic.fields import FieldInfo
from starlette.convertors import PathConvertor, register_url_convertor

from app.core.text.nearest_name import nearest_name


class SomePath(PathConvertor):
    """`{name:some_path}` in a route takes an id that may contain slashes, as `path` does, but no empty one, so that
    a slash too many at the end of the list does not name an object."""

    regex = ".+"


register_url_convertor("some_path", SomePath())
UNKNOWN = "extra_forbidden"
"""The type of pydantic's error for an unknown field."""
_unknown_parameter: ContextVar[str | None] = ContextVar("unknown_parameter", default=None)


class RequestBody(BaseModel):
    """The base of every body of an own route, and of every model in one."""

    model_config = ConfigDict(extra="forbid")


class StrictRoute(APIRoute):
    """Refuses unknown query parameters once the dependencies have admitted the caller, because the credential and the
    rate limit come first. A request without a query pays nothing for it."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, _refuse_unknown_parameter(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = query_parameters(self)

        async def handle_strictly(request: Request) -> Response:
            unknown = request.query_params.keys() - known if request.scope["query_string"] else ()
            if not unknown:
                return await handle(request)
            token = _unknown_parameter.set(min(unknown))
            try:
                return await handle(request)
            finally:
                _unknown_parameter.reset(token)

        return handle_strictly


def own_router(**options: Any) -> APIRouter:
    return APIRouter(route_class=StrictRoute, **options)


def _refuse_unknown_parameter(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(endpoint)
    async def call(*args: Any, **values: Any) -> Any:
        if name := _unknown_parameter.get():
            raise RequestValidationError([{"type": UNKNOWN, "loc": ("query", name), "msg": "", "input": None}])
        return await endpoint(*args, **values)

    return call


def query_parameters(route: APIRoute) -> set[str]:
    return {field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, params.Query)}


def describe_unknown(request: Request, location: Sequence[str | int]) -> str:
    """Names the field or parameter and the known one that is nearest to it."""
    route = request.scope["route"]
    kind = "query parameter" if location[0] == "query" else "field"
    known = query_parameters(route) if location[0] == "query" else _fields_beside(route, location[1:])
    place = "".join(f"{part}." for part in location[1:-1])
    nearest = nearest_name(str(location[-1]), known)
    if nearest:
        hint = f"Did you mean `{place}{nearest}`?"
    elif known:
        hint = f"Known: {', '.join(f'`{place}{name}`' for name in sorted(known))}."
    else:
        hint = "Leave it out."
    return f"Unknown {kind} `{place}{_printable(location[-1])}`. {hint}"


def _fields_beside(route: APIRoute, location: Sequence[str | int]) -> set[str]:
    """The fields of the object in the body that contains this location."""
    body = route.body_field
    models = list(models_in(body.field_info.annotation)) if body else []
    for part in location[:-1]:
        inner = [field for model in models for name, field in fields_of(model) if name == part]
        # An index, or the branch of a union, is part of the location without being a field.
        models = [model for field in inner for model in models_in(field.annotation)] or models
    return {name for model in models for name, _ in fields_of(model)}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def fields_of(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Under each name that a request may use."""
    for name, field in model.model_fields.items():
        alias = field.validation_alias or field.alias
        names = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
        yield from ((each, field) for each in names if isinstance(each, str))


def _printable(name: str | int) -> str:
    """The name is the client's, so it may be long, and unprintable or impossible in UTF-8."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(name)[:60])
