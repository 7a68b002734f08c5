"""Requests and responses of versions 1 and 2, as differences from version 3."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from app.gateways.mem0.memories.render import MemoryRead
from app.gateways.mem0.memories.schemas import (
    AddMemories,
    MemoryPage,
    MemorySearchResult,
    ProfileSelection,
    ProjectReference,
    SearchMemories,
)


class AddV1(AddMemories):
    output_format: str | None = None
    version: str | None = None


class QueuedEvent(BaseModel):
    message: str
    status: Literal["PENDING", "SUCCEEDED"]
    event_id: UUID


class AddResultsV1(BaseModel):
    results: list[Any]
    relations: list[Any]


class OldSearch(SearchMemories):
    """Ids may be sent at the top level, inside `filters`, or both; a memory must have all of them."""

    output_format: str | None = None


class SearchResultsV1(BaseModel):
    results: list[MemorySearchResult]
    relations: list[Any]


class ListV1(ProjectReference):
    """A memory must meet all conditions. Lists are separated by commas."""

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    filters: str | None = None
    profile_id: ProfileSelection = None
    metadata: str | None = None
    categories: str | None = None
    fields: str | None = None
    keywords: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    show_expired: bool = False
    show_archived: bool = False
    show_superseded: bool = False
    as_of: str | None = None
    page: str | None = None
    page_size: str | None = None


OldListResponse = list[MemoryRead] | MemoryPage
OldSearchResponse = list[MemorySearchResult] | SearchResultsV1
