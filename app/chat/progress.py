"""The state of a turn while it is answered, and the events that its client receives."""

from dataclasses import dataclass, field
from uuid import UUID

from app.chat.schemas import ForgetQuestion, RecalledMemory
from app.core.ports import Usage
from app.memory.ledger import SearchRow


@dataclass(slots=True)
class Progress:
    recalled: list[RecalledMemory] = field(default_factory=list)
    remembered: list[SearchRow] = field(default_factory=list)
    """The rows of the recalled memories."""
    recall_failed: bool = False
    by_meaning: bool = True
    """False if the message could not be embedded, so that memories were recalled by words alone."""
    answerable: bool = False
    nothing_known: bool = False
    """Memories were read and none fits the message."""
    tokens: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    prompt_tokens: int = 0
    """An estimate. The provider reports the exact number only at the end of its answer."""
    about_forgetting: bool = False
    """Such a turn is never memorized."""
    forget: ForgetQuestion | None = None
    forgotten: list[UUID] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """`recalled`, `token`…, `message`, `done`; `error` replaces the events that can no longer follow."""

    kind: str
    data: dict[str, object]
