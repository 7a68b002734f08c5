"""The requests of OpenAI's responses and conversations."""

from typing import Annotated, Any

from pydantic import Field

from app.chat.schemas import ModelName
from app.gateways.openai.schemas import Metadata, RelayedRequest, TokenLimit
from app.sessions.schemas import UserId

MAX_ITEMS = 20


class ResponseRequest(RelayedRequest):
    input: str | list[dict[str, Any]] = Field(
        description="The new message, or items: messages, calls and their outputs."
    )
    model: ModelName | None = None
    instructions: str | None = None
    previous_response_id: str | None = Field(None, description="Continues the session of that response.")
    conversation: str | dict[str, Any] | None = Field(None, description="Continues that session.")
    stream: bool | None = None
    store: bool | None = Field(None, description="False is incognito, and the response cannot be retrieved.")
    metadata: Metadata | None = None
    user: UserId | None = None
    max_output_tokens: TokenLimit | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    background: bool | None = None


class ConversationCreate(RelayedRequest):
    items: Annotated[list[dict[str, Any]], Field(max_length=MAX_ITEMS)] | None = None
    metadata: Metadata | None = Field(None, description="May name `user_id`, `profile_id`, `privacy_mode` and `title`.")


class ConversationPatch(RelayedRequest):
    metadata: Metadata


class ItemsCreate(RelayedRequest):
    items: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_ITEMS)
