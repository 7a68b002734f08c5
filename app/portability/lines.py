"""The lines of an export other than memories: docs/export-format.md describes them. The models are also the lists of
columns that an export reads and an import writes."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

FORMAT_VERSION = 1
MAX_COUNT = 2**31 - 1
YEARS = range(2, 9999)
"""Times in these years stay valid in every time zone."""


def _with_zone(moment: dt.datetime) -> dt.datetime:
    if moment.year not in YEARS:
        raise ValueError("is no time that can be stored")
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


Moment = Annotated[dt.datetime, AfterValidator(_with_zone)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
EntityName = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Share = Annotated[float, Field(ge=0, le=1)]


class ProfileLine(BaseModel):
    id: UUID
    user_id: EntityName
    name: Name
    description: str | None = None
    persona: str | None = None
    is_default: bool = False
    metadata: dict[str, str] = Field(default_factory=dict)
    archived_at: Moment | None = None
    created_at: Moment
    updated_at: Moment


class SessionLine(BaseModel):
    id: UUID
    user_id: EntityName
    profile: Name | None = None
    """The name of the profile. None is the default profile."""
    privacy_mode: Literal["normal", "pause_memories", "incognito"] = "normal"
    title: str | None = None
    summary: str | None = None
    created_at: Moment
    updated_at: Moment
    last_message_at: Moment | None = None


class MessageLine(BaseModel):
    id: UUID
    session_id: UUID
    role: Literal["system", "user", "assistant"]
    content: str
    privacy_mode: Literal["normal", "pause_memories"] = "normal"
    importance: Share | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    created_at: Moment
    ends_summary: bool = False
    """The summary of the session covers the messages up to this one."""


class HistoryLine(BaseModel):
    id: UUID
    memory_id: UUID
    user_id: EntityName | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    event: Literal["ADD", "UPDATE", "DELETE", "ARCHIVE", "RESTORE", "SUPERSEDE", "REPLACE", "MOVE", "REPEAT"]
    old_memory: str | None = None
    new_memory: str | None = None
    input: list[dict[str, Any]] | None = None
    metadata: dict[str, Any] | None = None
    created_at: Moment


class FeedbackLine(BaseModel):
    id: UUID
    memory_id: UUID
    user_id: EntityName | None = None
    feedback: Literal["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"]
    reason: Annotated[str, StringConstraints(max_length=10_000)] | None = None
    created_at: Moment
    updated_at: Moment


class UserProfileLine(BaseModel):
    id: UUID
    user_id: EntityName
    profile: Name | None = None
    content: dict[str, Any]
    memory_ids: list[UUID]
    note: str | None = None
    generation_count: Count = 1
    created_at: Moment
    updated_at: Moment


class EntityLine(BaseModel):
    id: UUID
    entity_type: Literal["user", "agent", "app", "run"]
    entity_id: EntityName
    display_name: EntityName | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    created_at: Moment
    updated_at: Moment


LINE_MODELS: dict[str, type[BaseModel]] = {
    "profile": ProfileLine,
    "session": SessionLine,
    "message": MessageLine,
    "history": HistoryLine,
    "feedback": FeedbackLine,
    "user_profile": UserProfileLine,
    "entity": EntityLine,
}
LINE_TYPES = frozenset({"account", "memory", "end", *LINE_MODELS})
