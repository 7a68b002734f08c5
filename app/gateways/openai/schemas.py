"""The requests and responses of OpenAI's API. Parameters that are not here go to the model as they are."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.chat.schemas import ModelName
from app.core.storable_text import storable
from app.sessions.schemas import UserId

MAX_INPUTS = 2048
LARGEST_LIMIT = 1_000_000


def _has_role(message: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(message.get("role"), str):
        raise ValueError("must have a `role`, such as `user`")
    parts = message.get("content")
    if isinstance(parts, list) and not all(isinstance(part, dict) for part in parts):
        raise ValueError("must have a `content` of text or of objects")
    return message


Message = Annotated[dict[str, Any], AfterValidator(_has_role)]
Metadata = dict[str, Any]
TokenLimit = Annotated[int, Field(ge=1, le=LARGEST_LIMIT)]


class LenientRequest(BaseModel):
    model_config = ConfigDict(extra="allow")


class RelayedRequest(LenientRequest):
    """What goes to the model or is kept must be JSON that can be sent and stored."""

    _is_plain = model_validator(mode="before")(storable)


class StreamOptions(LenientRequest):
    include_usage: bool | None = None


class ChatCompletionRequest(RelayedRequest):
    messages: list[Message] = Field(min_length=1)
    model: ModelName | None = Field(None, description="The model of this server if left out.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    user: UserId | None = Field(None, description="The user to act for. Defaults to yourself; required with a key.")
    metadata: Metadata | None = Field(
        None, description="May name `user_id`, `profile_id`, `session_id` and `privacy_mode`. The rest is the model's."
    )
    store: bool | None = Field(None, description="False is incognito: nothing is read or stored.")


class ChatCompletion(LenientRequest):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None = None
    keepsake: dict[str, Any] = Field(
        description="What this server adds: the session, the memories that were used, and what will be remembered."
    )


class EmbeddingRequest(LenientRequest):
    input: Annotated[str | list[Any], AfterValidator(storable)] = Field(description="One text, or several.")
    model: ModelName | None = Field(None, description="Any name. The response says which model was used.")
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1)


class EmbeddingRead(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    object: Literal["list"] = "list"
    data: list[EmbeddingRead]
    model: str
    usage: EmbeddingUsage


class ModelRead(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "keepsake"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelRead]
