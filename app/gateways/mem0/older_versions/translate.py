"""Translate requests of older clients to version 3, and responses back."""

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.core.errors import BadRequest, NotFound
from app.gateways.mem0.memories.list import PageRequest
from app.gateways.mem0.memories.schemas import FilteredRequest, ListMemories
from app.gateways.mem0.older_versions.schemas import ListV1
from app.gateways.mem0.responses import JsonObject
from app.memory.filters import parse_object_text
from app.memory.origin import ENTITY_FIELDS

V1_1 = "v1.1"
Request = TypeVar("Request", bound=FilteredRequest)
MAX_UNPAGED = 10_000
"""Older clients that ask for no page expect all memories."""


def combined_filters(request: ListV1 | FilteredRequest) -> dict[str, Any] | None:
    """Join the ids of the top level and the filters."""
    parts: list[object] = [{field: value} for field in ENTITY_FIELDS if (value := getattr(request, field)) is not None]
    filters = parse_object_text(request.filters, "filters") if isinstance(request.filters, str) else request.filters
    if filters:
        parts.append(filters)
    return {"AND": parts} if parts else None


def to_list_request(request: ListV1) -> ListMemories:
    metadata = parse_object_text(request.metadata, "metadata") if request.metadata else None
    if metadata is not None and not isinstance(metadata, dict):
        raise BadRequest('`metadata` takes an object, such as {"topic": "food"}')
    unchanged = (
        "org_id",
        "project_id",
        "profile_id",
        "keywords",
        "start_date",
        "end_date",
        "show_expired",
        "show_archived",
        "show_superseded",
        "as_of",
    )
    values = {
        **{name: getattr(request, name) for name in unchanged},
        "filters": combined_filters(request),
        "metadata": metadata,
        "categories": _split(request.categories),
        "fields": _split(request.fields),
    }
    try:
        return ListMemories.model_validate(values)
    except ValidationError as error:  # a value of the query string exceeds a limit of version 3
        raise RequestValidationError(error.errors()) from None


def _split(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def without_ids_on_top(request: Request) -> Request:
    """Older clients send ids at the top level, which version 3 refuses."""
    return request.model_copy(update={"filters": combined_filters(request), **dict.fromkeys(ENTITY_FIELDS)})


def choose_old_page(page: str | None, size: str | None) -> PageRequest:
    """Older clients get pages only if they send both parameters."""
    if page is None or size is None:
        return PageRequest(1, MAX_UNPAGED)
    if not (page.isdecimal() and size.isdecimal() and 0 < int(page) < 10**7 and 0 < int(size) <= 1000):
        raise NotFound("Invalid page.")
    return PageRequest(int(page), int(size))


def to_old_add_response(added: Mapping[str, Any], output_format: str | None) -> JsonObject | list[JsonObject]:
    queued = [{name: added[name] for name in ("message", "status", "event_id")}]
    results = list(added["results"]) if "results" in added else queued
    return {"results": results, "relations": []} if output_format == V1_1 else results
