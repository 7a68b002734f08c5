"""Responses that are serialized once, from plain values, without validating what this server has produced itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic_core import to_json

JsonObject = dict[str, Any]


class FastJson(JSONResponse):
    def render(self, content: object) -> bytes:
        return content if isinstance(content, bytes) else to_json(content)


def page_of_results(
    request: Request, page: int, size: int, count: int, results: Sequence[Mapping[str, object]], **more: object
) -> JsonObject:
    return {**page_links(request, page, size, count), **more, "results": results}


def page_of_json(request: Request, page: int, size: int, count: int, results: bytes) -> bytes:
    """The same, for a list of results that Postgres has serialized already."""
    links = to_json(page_links(request, page, size, count))
    return links.removesuffix(b"}") + b',"results":' + results + b"}"


def page_links(request: Request, page: int, size: int, count: int) -> JsonObject:
    """The total count, and the absolute URLs of the next and the previous page."""
    return {
        "count": count,
        "next": page_url(request, page + 1, size) if page * size < count else None,
        "previous": page_url(request, page - 1, size) if page > 1 else None,
    }


def page_url(request: Request, page: int, size: int) -> str:
    return str(request.url.include_query_params(page=page, page_size=size))
