"""The `messages` of an add request: a text, one message, or a list of messages with text parts."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, FailFast, Field, JsonValue, StringConstraints

from app.core.storable_text import no_nul, storable_object

MessageText = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(no_nul)]
Role = Literal["user", "assistant", "system", "developer", "tool", "function"]
MAX_MESSAGES = 1000
MAX_PARTS = 1000


class TextPart(BaseModel):
    """A part of a message. Only text is read; images and files are ignored."""

    type: str = "text"
    text: MessageText | None = None


def _few_parts(given: object) -> object:
    """Checked before the parts, because a list of invalid ones costs an error for each."""
    if isinstance(given, list) and len(given) > MAX_PARTS:
        raise ValueError(f"write at most {MAX_PARTS} parts")
    return given


class IncomingMessage(BaseModel):
    role: Role = "user"
    content: Annotated[MessageText | TextPart | list[TextPart | MessageText] | None, BeforeValidator(_few_parts)] = None

    @property
    def text(self) -> str:
        parts = self.content if isinstance(self.content, list) else [self.content]
        texts = [part.text if isinstance(part, TextPart) else part for part in parts]
        return "\n".join(text for text in texts if text)


def _as_list(given: object) -> object:
    """Accept a text or a single message instead of a list, and texts inside a list."""
    items = given if isinstance(given, list) else [given]
    return [{"role": "user", "content": item} if isinstance(item, str) else item for item in items]


# Only the first error is reported, and each further one would cost more than the message.
Messages = Annotated[
    list[IncomingMessage], FailFast(), Field(min_length=1, max_length=MAX_MESSAGES), BeforeValidator(_as_list)
]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(storable_object)]
