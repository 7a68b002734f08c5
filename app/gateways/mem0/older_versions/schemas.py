"""The older shapes: what they say beside what today's do."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.gateways.mem0.memories.schemas import (
    AddMemories,
    MemoryFound,
    MemoryPage,
    MemoryShown,
    Placed,
    ProfileOf,
    SearchMemories,
)


class AddV1(AddMemories):
    output_format: str | None = None
    version: str | None = None
    async_mode: bool = Field(True, description="Accepted; `infer` alone decides what is done at once")


class Queued(BaseModel):
    message: str
    status: Literal["PENDING", "SUCCEEDED"]
    event_id: UUID


class QueuedResults(BaseModel):
    results: list[Any]
    relations: list[Any]


class SearchOld(SearchMemories):
    """Version 1 takes ids on top, version 2 inside `filters`."""

    output_format: str | None = None


class FoundResults(BaseModel):
    results: list[MemoryFound]
    relations: list[Any]


class ListV1(Placed):
    """All conditions hold together. Lists are written with commas."""

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    filters: str | None = None
    profile_id: ProfileOf = None
    metadata: str | None = None
    categories: str | None = None
    fields: str | None = None
    keywords: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    show_expired: bool = False
    page: str | None = None
    page_size: str | None = None


Listing = list[MemoryShown] | MemoryPage
Found = list[MemoryFound] | FoundResults
