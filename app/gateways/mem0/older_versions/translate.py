"""What older clients ask, in today's words."""

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.core.errors import BadRequest, NotFound
from app.gateways.mem0.memories.list import Part
from app.gateways.mem0.memories.schemas import ListMemories, SearchMemories
from app.gateways.mem0.older_versions.schemas import ListV1, SearchOld
from app.gateways.mem0.responses import Answer
from app.memory.filters.parse import unwritten
from app.memory.filters.tree import ENTITIES

V1_1 = "v1.1"
MOST_LISTED = 10_000
"""Where an older client asks for no page, it means everything."""


def conditions(asked: ListV1 | SearchOld) -> dict[str, Any] | None:
    """Ids on top and filters, all together."""
    parts: list[object] = [{field: value} for field in ENTITIES if (value := getattr(asked, field)) is not None]
    filters = unwritten(asked.filters, "filters") if isinstance(asked.filters, str) else asked.filters
    if filters:
        parts.append(filters)
    return {"AND": parts} if parts else None


def as_listing(asked: ListV1) -> ListMemories:
    metadata = unwritten(asked.metadata, "metadata") if asked.metadata else None
    if metadata is not None and not isinstance(metadata, dict):
        raise BadRequest('metadata takes an object, such as {"topic": "food"}')
    same = ("org_id", "project_id", "profile_id", "keywords", "start_date", "end_date", "show_expired")
    values = {
        **{name: getattr(asked, name) for name in same},
        "filters": conditions(asked),
        "metadata": metadata,
        "categories": _split(asked.categories),
        "fields": _split(asked.fields),
    }
    try:
        return ListMemories.model_validate(values)
    except ValidationError as error:  # what stood in the query string breaks the limits of what it means
        raise RequestValidationError(error.errors()) from None


def _split(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def as_search(asked: SearchOld) -> SearchMemories:
    """Ids on top were how version 1 named whose memories it meant."""
    translated: SearchMemories = asked.model_copy(update={"filters": conditions(asked), **dict.fromkeys(ENTITIES)})
    return translated


def choose_old_part(page: str | None, size: str | None) -> Part:
    """Pages only where both are given, as these clients have it."""
    if page is None or size is None:
        return Part(1, MOST_LISTED)
    if not (page.isdecimal() and size.isdecimal() and 0 < int(page) < 10**7 and 0 < int(size) <= 1000):
        raise NotFound("Invalid page.")
    return Part(int(page), int(size))


def as_queued(added: Mapping[str, Any], output_format: str | None) -> Answer | list[Answer]:
    done = list(added["results"]) if "results" in added else None
    results = done if done is not None else [{key: added[key] for key in ("message", "status", "event_id")}]
    return {"results": results, "relations": []} if output_format == V1_1 else results
