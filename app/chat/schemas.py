"""The requests and responses of a chat turn."""

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from app.core.http.openapi_errors import Problem
from app.core.http.strict_requests import RequestBody
from app.core.storable_text import no_nul, not_blank
from app.memory.ledger import Memory, SearchRow
from app.sessions.privacy import PrivacyMode
from app.sessions.schemas import UserId

Content = Annotated[str, AfterValidator(no_nul), AfterValidator(not_blank)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(no_nul)]


class TurnOptions(RequestBody):
    stream: bool = Field(
        False, description="Stream the answer as server-sent events. `Accept: text/event-stream` has the same effect."
    )
    model: ModelName | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=32_000)
    confirm_forget: list[UUID] | None = Field(
        None, max_length=100, description="Ids of memories to delete, from the `forget` field of an earlier answer."
    )
    confirm_forget_all: Literal["everything", "today"] | None = Field(
        None, description="Deletes all memories of the profile, or those of today: the `all` of an earlier answer."
    )
    forget_messages: bool = Field(
        False, description="With a confirmation: also delete the messages of conversations that contain the memories."
    )


class TurnRequest(TurnOptions):
    content: Content


class ChatRequest(TurnOptions):
    message: Content
    session_id: UUID | None = Field(None, description="A session of this user. If left out, a new session is created.")
    profile_id: UUID | None = None
    privacy_mode: PrivacyMode | None = None
    user_id: UserId | None = None


class TurnMessage(BaseModel):
    id: UUID | None = Field(description="Null in incognito, where no message is stored.")
    role: Literal["user", "assistant"]
    content: str


class RecalledMemory(BaseModel):
    id: UUID
    memory: str
    score: float
    score_breakdown: Mapping[str, float] = Field({}, description="The parts of the score.")
    created_at: dt.datetime

    @classmethod
    def of(
        cls, memory: Memory | SearchRow, score: float, parts: Mapping[str, float] = MappingProxyType({})
    ) -> "RecalledMemory":
        return cls(
            id=memory.id, memory=memory.content, score=score, score_breakdown=parts, created_at=memory.created_at
        )


class StandingRead(BaseModel):
    id: UUID
    memory: str


class ForgetGroup(BaseModel):
    """One statement, and the memories that make it: copies, paraphrases and echoes."""

    memory: str
    ids: list[UUID]


class ForgetQuestion(BaseModel):
    """The memories that match a request to forget. Send their ids as `confirm_forget` to delete them."""

    memories: list[RecalledMemory] = Field(description="At most 100, which is what one confirmation takes.")
    groups: list[ForgetGroup] = []
    count: int = Field(description="The number of memories that match.")
    messages: int = Field(description="The messages of conversations that contain them. See `forget_messages`.")
    all: Literal["everything", "today"] | None = Field(
        None, description="Send it as `confirm_forget_all` to delete all `count` memories."
    )


class TokenUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class TurnProblem(Problem):
    session_id: UUID | None = Field(None, description="The session of the turn, which may be a new one. Go on in it.")


class TurnAnswer(BaseModel):
    session_id: UUID
    privacy_mode: PrivacyMode
    user_message: TurnMessage
    message: TurnMessage
    recalled: list[RecalledMemory]
    recall_failed: bool = Field(
        False, description="Whether memories could not be read, so that the answer was made without them."
    )
    by_meaning: bool = Field(
        True, description="False if the message could not be embedded: then memories were recalled by words alone."
    )
    standing: list[StandingRead] = Field(
        [], description="The standing memories of the profile, which are part of every prompt. Empty in incognito."
    )
    answerable: bool = Field(
        False, description="Whether any memory fits the message. If none does, the model is told that it knows nothing."
    )
    event_id: UUID | None = Field(
        description="The event of the extraction, at `/v1/event/{event_id}/`. Null if the turn is not remembered."
    )
    will_remember: bool = Field(description="Whether facts are extracted from this turn.")
    forget: ForgetQuestion | None = None
    forgotten: list[UUID] = []
    usage: TokenUsage
