"""What mem0's Platform API takes and gives, and what we add: `profile_id` everywhere."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from app.core.storable_text import no_nul
from app.gateways.mem0.memories.addressing import Identity, ProfileChoice
from app.gateways.mem0.memories.message_schemas import Messages, Metadata, Words
from app.memory.filters.parse import read_moment

MOST_AT_ONCE = 1000
MOST_ON_A_PAGE = 1000


def _not_a_star(name: str) -> str:
    if name == "*":
        raise ValueError("is a name, not a pattern")
    return name


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _moment(value: object) -> object:
    if value is None or isinstance(value, dt.datetime):
        return value
    try:
        when = read_moment(value)
    except (ValueError, OverflowError, OSError):
        raise ValueError("takes seconds since 1970, a date, or a time such as 2026-01-31T09:30:00Z") from None
    return when if isinstance(when, dt.datetime) else dt.datetime.combine(when, dt.time(), dt.UTC)


Name = Annotated[
    str,
    BeforeValidator(_as_text),
    StringConstraints(min_length=1, max_length=500),
    AfterValidator(no_nul),
    AfterValidator(_not_a_star),
]
Moment = Annotated[dt.datetime, BeforeValidator(_moment)]
Instructions = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(no_nul)]
Filters = Annotated[Any, Field(description="mem0's filters, such as {'user_id': 'alice'} or {'AND': […]}")]
ProfileOf = Annotated[ProfileChoice, Field(description="One profile; `*` for all; each user's default if left out")]
Fields = Annotated[list[str], Field(max_length=100, description="Only these keys of each memory")]


class Placed(BaseModel):
    """Older clients say in each call which organization and project they mean; it must be the credential's own."""

    model_config = ConfigDict(populate_by_name=True)

    org_id: str | None = None
    project_id: str | None = None


class AddMemories(Placed):
    messages: Messages
    user_id: Name | None = None
    agent_id: Name | None = None
    app_id: Name | None = None
    run_id: Name | None = Field(None, validation_alias=AliasChoices("run_id", "session_id"))
    filters: Filters = None
    profile_id: UUID | None = Field(None, description="Where to write; the user's default profile if left out")
    infer: bool = Field(True, description="Find what is worth remembering; false keeps every message word for word")
    metadata: Metadata | None = None
    expiration_date: dt.date | None = Field(None, description="Shown through this day, in UTC")
    immutable: bool = False
    timestamp: Moment | None = Field(None, description="When it was said; now if left out")
    custom_instructions: Instructions | None = None
    agent_custom_instructions: Instructions | None = None
    custom_categories: list[dict[str, str]] | None = Field(None, max_length=200)
    includes: Instructions | None = Field(None, description="Remember only this")
    excludes: Instructions | None = Field(None, description="Remember anything but this")

    @property
    def identity(self) -> Identity:
        return Identity(self.user_id, self.agent_id, self.app_id, self.run_id)


class Sifted(Placed):
    """What listing and searching share."""

    filters: Filters = None
    profile_id: ProfileOf = None
    metadata: Metadata | None = None
    categories: list[str] | None = Field(None, max_length=200)
    fields: Fields | None = None
    show_expired: bool = False
    latest_only: bool = False
    user_id: Any = Field(None, description="Not here: ids belong inside `filters`", exclude=True)
    agent_id: Any = Field(None, exclude=True)
    app_id: Any = Field(None, exclude=True)
    run_id: Any = Field(None, exclude=True)


class ListMemories(Sifted):
    start_date: str | None = Field(None, description="Made on this day or later")
    end_date: str | None = Field(None, description="Made on this day or earlier")
    keywords: str | None = Field(None, max_length=1000)
    page: int | None = None
    page_size: int | None = None


class SearchMemories(Sifted):
    query: Annotated[Words, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
    top_k: int = Field(10, ge=1, le=1000, validation_alias=AliasChoices("top_k", "limit"))
    threshold: float | None = Field(None, ge=0, le=1, description="Least score; 0 lets everything pass, 0.1 by default")
    rerank: bool = Field(False, description="Accepted; our ranking is always the full one")
    keyword_search: bool = Field(False, description="Accepted; words are always searched beside meaning")
    reference_date: Moment | None = Field(None, description="The moment the question is about; now if left out")
    explain: bool = Field(False, description="Give each score's parts as `score_breakdown`")


class ChangeMemory(Placed):
    text: Annotated[Words, StringConstraints(min_length=1)] | None = None
    metadata: Metadata | None = Field(None, description="Replaces the metadata; stays as it is if left out")
    expiration_date: dt.date | None = Field(None, description="null takes the expiry away")
    timestamp: Moment | None = None


class BatchChange(BaseModel):
    memory_id: str
    text: Annotated[Words, StringConstraints(min_length=1)] | None = None
    metadata: Metadata | None = None


class BatchUpdate(Placed):
    memories: list[BatchChange]


class BatchId(BaseModel):
    memory_id: str


class BatchDelete(Placed):
    memories: list[BatchId]


class GiveFeedback(Placed):
    memory_id: str
    feedback: Literal["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"] | None = Field(None, description="null takes it back")
    feedback_reason: Annotated[str, StringConstraints(max_length=10_000), AfterValidator(no_nul)] | None = None


class Summarize(Sifted):
    """Nobody named means everything that the caller may see: the whole project, or a person's own."""


class DeleteAll(Placed):
    """At least one id. All conditions hold together; `*` stands for any."""

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    filters: str | None = Field(None, description="A JSON object, or what Python's str() makes of a dict")
    metadata: str | None = Field(None, description="The same, for metadata")
    profile_id: ProfileOf = None


# ---------------------------------------------------------------- answers


class MemoryShown(BaseModel):
    id: UUID
    memory: str
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    session_id: str | None = Field(description="The same as run_id")
    profile_id: UUID | None
    metadata: dict[str, Any] | None
    categories: list[str] | None
    created_at: dt.datetime
    updated_at: dt.datetime
    expiration_date: dt.date | None
    structured_attributes: dict[str, Any]
    immutable: bool
    kind: Literal["fact", "episode"]
    replaced_by: UUID | None
    synthesized: bool
    lifecycle_state: str


class MemoryFound(MemoryShown):
    score: float
    score_breakdown: dict[str, float] | None = None


class MemoryPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[MemoryShown]


class SearchResults(BaseModel):
    results: list[MemoryFound]


class ResultWords(BaseModel):
    memory: str | None = Field(description="null once the memory is deleted")


class ResultShown(BaseModel):
    id: UUID
    event: str
    data: ResultWords


class Added(BaseModel):
    """`results` only for what was kept word for word; otherwise see /v1/event/{event_id}/."""

    message: str
    event_id: UUID
    status: Literal["PENDING", "SUCCEEDED"]
    results: list[ResultShown] | None = None


class Deleted(BaseModel):
    message: str
    cascade_count: int | None = None


class Started(BaseModel):
    message: str
    event_id: UUID


class HistoryShown(BaseModel):
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
    event: Literal["ADD", "UPDATE", "DELETE"]
    metadata: dict[str, Any] | None
    created_at: dt.datetime
    updated_at: dt.datetime


class HistoryPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[HistoryShown]


class EventShown(BaseModel):
    id: UUID
    event_type: str
    status: Literal["PENDING", "RUNNING", "FAILED", "SUCCEEDED"]
    payload: dict[str, Any]
    metadata: dict[str, Any]
    results: list[ResultShown]
    note: str | None
    created_at: dt.datetime
    updated_at: dt.datetime
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    latency: float | None = Field(description="Milliseconds from start to end")
    graph_status: str | None = None
    error: str | None = None


class EventPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[EventShown]


class FeedbackShown(BaseModel):
    id: UUID | None
    feedback: str | None
    feedback_reason: str | None


class Summary(BaseModel):
    summary: str
    count: int
    categories: dict[str, int]


class Pong(BaseModel):
    status: Literal["ok"] = "ok"
    org_id: str
    project_id: str
    user_email: str | None


class Stats(BaseModel):
    total_memories: int
    total_retrieval_events: int
    total_add_events: int
    total_users: int
    total_agents: int
    total_apps: int
    total_runs: int
