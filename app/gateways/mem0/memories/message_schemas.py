"""What a client sends to be remembered: a text, one message, or several, with whatever parts their content has."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, JsonValue, StringConstraints

from app.core.storable_text import no_nul, storable_object

Words = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(no_nul)]
Role = Literal["user", "assistant", "system", "developer", "tool", "function"]
MOST_MESSAGES = 1000


class TextPart(BaseModel):
    """A part of a message. Only text is read; images and files are passed over."""

    type: str = "text"
    text: Words | None = None


class Said(BaseModel):
    role: Role = "user"
    content: Words | TextPart | list[TextPart | Words] | None = None

    @property
    def text(self) -> str:
        parts = self.content if isinstance(self.content, list) else [self.content]
        words = [part.text if isinstance(part, TextPart) else part for part in parts]
        return "\n".join(word for word in words if word)


def _as_list(given: object) -> object:
    """A bare text and a single message are lists of one; so is a text within a list."""
    each = given if isinstance(given, list) else [given]
    return [{"role": "user", "content": one} if isinstance(one, str) else one for one in each]


Messages = Annotated[list[Said], BeforeValidator(_as_list), Field(min_length=1, max_length=MOST_MESSAGES)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(storable_object)]
