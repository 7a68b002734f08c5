"""The requests and responses of /v1/messages and /v1/memory/search."""

import datetime as dt
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field, JsonValue, StringConstraints

from app.core.http.strict_requests import RequestBody
from app.core.ports import Role
from app.core.storable_text import clean_text, no_nul, not_blank, storable_object
from app.memory.importance import importance_of, recency_of
from app.memory.messages import FoundMessage, StoredMessage

MAX_BATCH_SIZE = 1000
CLOCK_SKEW = dt.timedelta(minutes=1)
OLDEST = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)


def _clean(value: object) -> object:
    return clean_text(value) if isinstance(value, str) else value


def _in_the_past(moment: dt.datetime) -> dt.datetime:
    if moment > dt.datetime.now(dt.UTC) + CLOCK_SKEW:
        raise ValueError("must not be in the future. Leave it out for a message of this moment")
    if moment < OLDEST:
        raise ValueError("must not be before the year 1900")
    return moment.astimezone(dt.UTC)


def _rounded(value: float) -> float:
    """Postgres refuses numbers that are too small for its columns."""
    return round(value, 6)


Name = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(no_nul)]
Content = Annotated[
    str,
    BeforeValidator(_clean),
    StringConstraints(min_length=1, max_length=100_000),
    AfterValidator(not_blank),
]
"""A message is stored as it was said, but for characters that Postgres cannot store."""
Importance = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), AfterValidator(_rounded)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(storable_object)]


class MessageCreate(RequestBody):
    conversation_id: Name
    role: Role
    content: Content
    tenant_id: Name | None = Field(
        None, description="A wall inside the project: messages of one tenant are never found under another, or without."
    )
    user_id: Name | None = Field(None, description="Whose message it is. It is deleted with this user.")
    metadata: Metadata = Field(default_factory=dict)
    importance: Importance | None = Field(
        None, description="From 0 to 1. Without it, the role and the age of the message decide."
    )
    created_at: Annotated[AwareDatetime, AfterValidator(_in_the_past)] | None = Field(
        None, description="When it was said, with a time zone. Defaults to now."
    )


class MessageBatch(RequestBody):
    messages: list[Any] = Field(
        min_length=1,
        max_length=MAX_BATCH_SIZE,
        description="Each one as in POST /v1/messages. One that is refused does not affect the others.",
        json_schema_extra={"items": {"$ref": "#/components/schemas/MessageCreate"}},
    )


class StoredMessageRead(BaseModel):
    id: UUID
    tenant_id: str | None
    conversation_id: str
    user_id: str | None
    role: Role
    content: str
    metadata: dict[str, Any]
    importance: float = Field(description="What was sent, otherwise what the role and the age suggest.")
    state: Literal["pending", "indexed"] = Field(description="pending: found by its words, and not yet by its meaning.")
    created_at: dt.datetime
    archived_at: dt.datetime | None = Field(None, description="Since when it is neither listed nor found.")

    @classmethod
    def of(cls, message: StoredMessage, half_life_days: float) -> Self:
        recency = recency_of(message.created_at, dt.datetime.now(dt.UTC), half_life_days)
        importance = importance_of(message.role, recency, message.importance)
        return cls.model_validate({**_fields(message), "importance": _rounded(importance)})


class BatchResult(BaseModel):
    status: Literal["stored", "refused"]
    message: StoredMessageRead | None = None
    error: str | None = Field(None, description="Why it was refused, and what to change.")
    code: str | None = None


class BatchResults(BaseModel):
    """One result for each message, in their order."""

    stored: int
    refused: int
    results: list[BatchResult]


class MessageFound(StoredMessageRead):
    score: float = Field(description="The weighted sum of similarity, importance and recency.")
    similarity: float = Field(description="By meaning and by words, from 0 to 1.")
    recency: float = Field(description="1 for now, and half of it after each half-life.")

    @classmethod
    def of_found(cls, found: FoundMessage) -> Self:
        parts = {
            "score": found.score,
            "similarity": found.parts.similarity,
            "importance": found.parts.importance,
            "recency": found.parts.recency,
        }
        return cls.model_validate({**_fields(found.message), **{name: _rounded(each) for name, each in parts.items()}})


class MessagesFound(BaseModel):
    results: list[MessageFound]
    by_meaning: bool = Field(description="False if the query could not be embedded: then only words were compared.")


def _fields(message: StoredMessage) -> dict[str, Any]:
    return {name: getattr(message, name) for name in StoredMessage.__slots__}
