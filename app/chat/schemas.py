import datetime as dt
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from app.core.storable_text import no_nul
from app.sessions.privacy import PrivacyMode
from app.sessions.schemas import UserId


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


Content = Annotated[str, AfterValidator(no_nul), AfterValidator(_not_blank)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(no_nul)]


class TurnOptions(BaseModel):
    stream: bool = Field(False, description="Answer as server-sent events; `Accept: text/event-stream` does the same")
    model: ModelName | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=32_000)
    confirm_forget: list[UUID] | None = Field(
        None, max_length=100, description="Ids of the memories that an answer asked to confirm before erasing them"
    )


class TurnRequest(TurnOptions):
    content: Content


class ChatRequest(TurnOptions):
    message: Content
    session_id: UUID | None = Field(None, description="A session of this user; a new one is made if left out")
    profile_id: UUID | None = None
    privacy_mode: PrivacyMode | None = None
    user_id: UserId | None = None


class SaidMessage(BaseModel):
    id: UUID | None = Field(description="null in incognito, where nothing is stored")
    role: Literal["user", "assistant"]
    content: str


class RecalledMemory(BaseModel):
    id: UUID
    memory: str
    score: float
    created_at: dt.datetime


class ForgetQuestion(BaseModel):
    """Memories that "forget …" seems to mean. They are erased when their ids come back as `confirm_forget`."""

    memories: list[RecalledMemory]


class TokenUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class TurnAnswer(BaseModel):
    session_id: UUID
    privacy_mode: PrivacyMode
    user_message: SaidMessage
    message: SaidMessage
    recalled: list[RecalledMemory]
    recall_failed: bool = Field(False, description="Memories could not be read, so the answer was made without them")
    event_id: UUID | None = Field(
        description="Follow what is remembered from this at /v1/event/{id}/; null if nothing is"
    )
    will_remember: bool = Field(description="Whether this turn is read for facts")
    forget: ForgetQuestion | None = None
    forgotten: list[UUID] = []
    usage: TokenUsage
