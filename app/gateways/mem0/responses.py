"""JSON as it leaves: written once, straight from plain values, without checking again what we made ourselves."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json

Answer = dict[str, Any]


class Json(Response):
    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return content if isinstance(content, bytes) else to_json(content)


def envelope(
    request: Request, page: int, size: int, count: int, results: Sequence[Mapping[str, object]], **more: object
) -> Answer:
    """One page of a list, with the absolute addresses of its neighbours."""
    return {
        "count": count,
        "next": page_url(request, page + 1, size) if page * size < count else None,
        "previous": page_url(request, page - 1, size) if page > 1 else None,
        **more,
        "results": results,
    }


def written_envelope(request: Request, page: int, size: int, count: int, results: bytes) -> bytes:
    """The same around a list that is written already."""
    return to_json(envelope(request, page, size, count, []))[:-3] + results + b"}"


def page_url(request: Request, page: int, size: int) -> str:
    return str(request.url.include_query_params(page=page, page_size=size))
