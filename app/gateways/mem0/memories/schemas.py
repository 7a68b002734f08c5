"""Requests and responses of mem0's Platform API. `profile_id` is an addition of this server."""

import datetime as dt
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
)

from app.core.storable_text import no_nul, not_blank
from app.gateways.mem0.memories.addressing import ProfileChoice
from app.gateways.mem0.memories.message_schemas import Messages, MessageText, Metadata
from app.gateways.mem0.memories.render import MemoryRead
from app.memory.filters import parse_moment
from app.memory.origin import Origin

MAX_BATCH_SIZE = 1000
MAX_PAGE_SIZE = 1000
THRESHOLD_MEANING = (
    "The minimum of the score or of the relevance, which does not depend on other results; 0 accepts all."
    " By default, only what fits the question is returned."
)


def _not_a_pattern(name: str) -> str:
    if name == "*":
        raise ValueError("is a name, not a pattern")
    return name


def number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _read_timestamp(value: object, *, time: dt.time = dt.time.min) -> object:
    if value is None or isinstance(value, dt.datetime):
        return value
    try:
        when = parse_moment(value)
    except (ValueError, OverflowError, OSError):
        raise ValueError("takes seconds since 1970, a date, or a time such as 2026-01-31T09:30:00Z") from None
    return when if isinstance(when, dt.datetime) else dt.datetime.combine(when, time, dt.UTC)


EntityId = Annotated[
    str,
    BeforeValidator(number_as_text),
    StringConstraints(min_length=1, max_length=500),
    AfterValidator(no_nul),
    AfterValidator(_not_a_pattern),
]
Timestamp = Annotated[dt.datetime, BeforeValidator(_read_timestamp)]
PastMoment = Annotated[dt.datetime, BeforeValidator(partial(_read_timestamp, time=dt.time.max))]
"""A date means the end of the day, in UTC: everything of that day was known then."""
Instructions = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(no_nul)]
Filters = Annotated[Any, Field(description="Filters of mem0, such as {'user_id': 'alice'} or {'AND': […]}.")]
ProfileSelection = Annotated[
    ProfileChoice,
    Field(description="A profile, or `*` for all profiles. Defaults to the default profile of each user."),
]
Fields = Annotated[list[str], Field(max_length=100, description="Return only these fields of each memory.")]


class ProjectReference(BaseModel):
    """Older clients name their organization and project in each call. Both must be the credential's own."""

    model_config = ConfigDict(populate_by_name=True)

    org_id: str | None = None
    project_id: str | None = None


class AddMemories(ProjectReference):
    messages: Messages
    user_id: EntityId | None = None
    agent_id: EntityId | None = None
    app_id: EntityId | None = None
    run_id: EntityId | None = Field(None, validation_alias=AliasChoices("run_id", "session_id"))
    filters: Filters = None
    profile_id: UUID | None = Field(
        None, description="The profile to write to. Defaults to the user's default profile."
    )
    async_mode: bool = Field(
        True, description="false waits for the extraction, a third of REQUEST_TIMEOUT_SECONDS at most."
    )
    infer: bool = Field(
        True, description="true extracts facts in the background; false stores every message verbatim, at once."
    )
    metadata: Metadata | None = None
    expiration_date: dt.date | None = Field(None, description="The last day, in UTC, on which the memory is returned.")
    immutable: bool = False
    standing: bool | None = Field(
        None,
        description="With `infer: false`: whether the memory is part of every prompt of its profile. Defaults to what"
        " the rules for instructions and preferences say.",
    )
    timestamp: Timestamp | None = Field(None, description="When the messages were sent. Defaults to now.")
    observation_date: str | None = Field(None, max_length=40, description="Another name of `timestamp`, as a date.")
    observation_datetime: str | None = Field(None, max_length=40, description="The same, as a time.")
    timezone: str | None = Field(
        None, max_length=60, description="Of the two above, such as Europe/Berlin. Defaults to UTC."
    )
    custom_instructions: Instructions | None = None
    agent_custom_instructions: Instructions | None = None
    custom_categories: list[dict[str, str]] | None = Field(None, max_length=200)
    includes: Instructions | None = Field(None, description="What to remember, and nothing else.")
    excludes: Instructions | None = Field(
        None,
        description="What not to remember. Without a language model: words, separated by commas. Sentences that contain"
        " them are left out.",
    )
    structured_data_schema: Any = Field(None, description="Accepted without effect.", exclude=True)
    prompt_profile_id: Any = Field(None, description="Accepted without effect.", exclude=True)
    enable_graph: Any = Field(None, description="Accepted without effect, as mem0 does.", exclude=True)

    @property
    def origin(self) -> Origin:
        return Origin(user_id=self.user_id, agent_id=self.agent_id, app_id=self.app_id, run_id=self.run_id)


class FilteredRequest(ProjectReference):
    """The fields that listing and searching share."""

    filters: Filters = None
    profile_id: ProfileSelection = None
    metadata: Metadata | None = None
    categories: list[str] | None = Field(None, max_length=200)
    fields: Fields | None = None
    start_date: str | None = Field(None, description="Created on this day or later.")
    end_date: str | None = Field(None, description="Created on this day or earlier.")
    show_expired: bool = False
    show_superseded: bool = Field(False, description="Return memories that a newer one has replaced, too.")
    latest_only: bool | None = Field(None, description="false is the same as `show_superseded: true`.")
    as_of: PastMoment | None = Field(
        None, description="Return what was known and valid at this time: nothing later, and what was replaced later."
    )
    user_id: Any = Field(None, description="Not accepted here. Send ids inside `filters`.", exclude=True)
    agent_id: Any = Field(None, exclude=True)
    app_id: Any = Field(None, exclude=True)
    run_id: Any = Field(None, exclude=True)

    @property
    def shows_superseded(self) -> bool:
        return self.show_superseded if self.latest_only is None else not self.latest_only


class ListMemories(FilteredRequest):
    keywords: str | None = Field(None, max_length=1000)
    show_archived: bool = Field(False, description="Return archived memories too.")
    standing: bool | None = Field(None, description="Only standing memories, or only others.")
    page: int | None = None
    page_size: int | None = None


class SearchMemories(FilteredRequest):
    query: Annotated[MessageText, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
    top_k: int = Field(10, ge=1, le=1000, validation_alias=AliasChoices("top_k", "limit"))
    threshold: float | None = Field(None, ge=0, le=1, description=THRESHOLD_MEANING)
    rerank: bool = Field(
        False, description="Order the best 20 again by a finer score, sentence by sentence. Takes longer."
    )
    keyword_search: bool = Field(False, description="Accepted without effect: keywords are always searched.")
    reference_date: PastMoment | None = Field(
        None, description="The time that the query refers to, mem0's name of `as_of`. Defaults to now."
    )
    include_standing: bool = Field(
        False, description="Return the standing memories as `standing`, besides the results."
    )
    explain: bool = Field(False, description="Return the parts of each score as `score_breakdown`.")


class MemoryUpdate(ProjectReference):
    text: Annotated[MessageText, AfterValidator(not_blank)] | None = None
    metadata: Metadata | None = Field(None, description="Replaces the metadata. Omit it to keep the current value.")
    expiration_date: dt.date | None = Field(None, description="null removes the expiration date.")
    standing: bool | None = Field(None, description="Whether the memory is part of every prompt of its profile.")
    timestamp: Timestamp | None = None


class BatchUpdateItem(BaseModel):
    memory_id: str
    text: Annotated[MessageText, AfterValidator(not_blank)] | None = None
    metadata: Metadata | None = None


class BatchUpdate(ProjectReference):
    memories: Annotated[list[BatchUpdateItem], FailFast()]


class BatchDeleteItem(BaseModel):
    memory_id: str


class BatchDelete(ProjectReference):
    memories: Annotated[list[BatchDeleteItem], FailFast()]


class FeedbackCreate(ProjectReference):
    memory_id: str
    feedback: Literal["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"] | None = Field(
        None, description="null removes the feedback."
    )
    feedback_reason: Annotated[str, StringConstraints(max_length=10_000), AfterValidator(no_nul)] | None = None


class SummaryRequest(FilteredRequest):
    """Without filters, everything that the caller can access: the whole project, or an account's own memories."""


class DeleteAllQuery(ProjectReference):
    """At least one id is required. A memory must meet all conditions; `*` matches any id."""

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    filters: str | None = Field(None, description="A JSON object, or the result of Python's str() for a dict.")
    metadata: str | None = Field(None, description="The same format, for metadata.")
    profile_id: ProfileSelection = None


# ---------------------------------------------------------------- responses


class MemorySearchResult(MemoryRead):
    score: float
    score_breakdown: dict[str, float] | None = None
    input: list[dict[str, str]] | None = Field(
        None, description="The messages that it was made from. A fact has them only if `fields` names them."
    )


class MemoryPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[MemoryRead]


class SearchResults(BaseModel):
    results: list[MemorySearchResult]
    answerable: bool = Field(description="Whether any of the results fits the question.")
    by_meaning: bool = Field(description="False if the query could not be embedded: then only words were compared.")
    standing: list[MemoryRead] | None = Field(None, description="Present with `include_standing`, newest first.")
    warnings: list[str] | None = Field(None, description="What of the request has no effect. Absent if all has.")


class EventResultData(BaseModel):
    memory: str | None = Field(description="null after the memory was deleted.")


class EventResult(BaseModel):
    id: UUID
    event: str
    data: EventResultData


class AddResponse(BaseModel):
    """`results` is present for `infer: false`. Otherwise get the outcome from /v1/event/{event_id}/."""

    message: str
    event_id: UUID
    status: Literal["PENDING", "RUNNING", "FAILED", "SUCCEEDED"]
    results: list[EventResult] | None = None
    warnings: list[str] | None = Field(
        None, description="What of the request has no effect, and why. Absent if all has."
    )


class DeleteResponse(BaseModel):
    message: str
    cascade_count: int | None = Field(None, description="How many replaced memories were deleted.")
    restored_count: int | None = Field(None, description="How many replaced memories are current again.")


class EventAccepted(BaseModel):
    message: str
    event_id: UUID


class HistoryEntry(BaseModel):
    id: UUID
    memory_id: UUID
    input: list[dict[str, Any]] | None
    old_memory: str | None
    new_memory: str | None
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    session_id: str | None
    categories: list[str] | None
    event: Literal["ADD", "UPDATE", "DELETE", "ARCHIVE", "RESTORE", "SUPERSEDE", "REPLACE", "MOVE", "REPEAT"]
    metadata: dict[str, Any] | None
    created_at: dt.datetime
    updated_at: dt.datetime


class HistoryPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[HistoryEntry]


class EventRead(BaseModel):
    id: UUID
    event_type: str
    status: Literal["PENDING", "RUNNING", "FAILED", "SUCCEEDED"]
    payload: dict[str, Any]
    metadata: dict[str, Any]
    results: list[EventResult]
    note: str | None
    created_at: dt.datetime
    updated_at: dt.datetime
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    latency: float | None = Field(description="Milliseconds from start to completion.")
    graph_status: str | None = None
    error: str | None = None
    waiting_since: dt.datetime | None = Field(
        None, description="Since when the event waits for a language model that cannot be reached."
    )


class EventPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[EventRead]


class FeedbackRead(BaseModel):
    id: UUID | None
    feedback: str | None
    feedback_reason: str | None


class SummaryRead(BaseModel):
    summary: str
    count: int
    categories: dict[str, int]


class PingResponse(BaseModel):
    status: Literal["ok"] = "ok"
    org_id: str
    project_id: str
    user_email: str = Field(
        description="Of the account. An API key gets an address made of its project's id, which receives no mail."
    )


class ProjectStats(BaseModel):
    total_memories: int
    total_retrieval_events: int = Field(
        description="Searches, by chat turns too. For a caller who sees one user: how often chats read its memories."
    )
    total_add_events: int
    total_users: int
    total_agents: int
    total_apps: int
    total_runs: int
