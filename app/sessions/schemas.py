"""The requests and responses of /v1/sessions."""

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.core.http.strict_requests import RequestBody
from app.core.storable_text import no_nul
from app.sessions.privacy import PrivacyMode

Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300), AfterValidator(no_nul)]
UserId = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(no_nul)]


class SessionCreate(RequestBody):
    profile_id: UUID | None = Field(None, description="Defaults to the user's default profile.")
    privacy_mode: PrivacyMode = PrivacyMode.NORMAL
    title: Title | None = Field(None, description="Taken from the first message if left out.")
    user_id: UserId | None = Field(
        None, description="The user to act for. Defaults to yourself; required with an API key."
    )


class SessionPatch(RequestBody):
    title: Title | None = None
    privacy_mode: PrivacyMode | None = Field(None, description="Applies from the next message on.")


class SessionRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: str
    profile_id: UUID
    privacy_mode: PrivacyMode
    title: str | None
    created_at: dt.datetime
    updated_at: dt.datetime
    last_message_at: dt.datetime | None


class MessageRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    session_id: UUID
    role: str
    content: str
    privacy_mode: PrivacyMode
    metadata: dict[str, Any] = Field(
        validation_alias="metadata_", description="Contains `interrupted` if the answer was not completed."
    )
    created_at: dt.datetime


class SessionSummary(BaseModel):
    session_id: UUID
    privacy_mode: PrivacyMode
    title: str | None
    messages: int
    messages_by_role: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    first_message_at: dt.datetime | None
    last_message_at: dt.datetime | None
    summary: str | None = Field(description="A summary of the older messages, once the conversation is long.")
    short_term_messages: int = Field(description="The number of messages that short-term memory holds now.")


class SessionReset(BaseModel):
    deleted_messages: int
