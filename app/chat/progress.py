"""What a turn has come to so far. Whoever records it, at the end or in the middle, reads it from here."""

from dataclasses import dataclass, field
from uuid import UUID

from app.chat.prompt import estimate_tokens
from app.chat.schemas import ForgetQuestion, RecalledMemory
from app.core.ports import Usage
from app.memory.ledger.models import Memory
from app.memory.recall.recall import SearchRow


@dataclass(slots=True)
class Progress:
    recalled: list[RecalledMemory] = field(default_factory=list)
    recall_failed: bool = False
    words: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    forget: ForgetQuestion | None = None
    forgotten: list[UUID] = field(default_factory=list)
    about_forgetting: bool = False
    """Such a turn teaches nothing: it is never read for facts."""

    prompt_tokens: int = 0
    """Estimated; what the provider counts comes with the end of its answer."""

    @property
    def recalled_ids(self) -> list[dict[str, object]]:
        return [{"id": str(memory.id), "score": memory.score} for memory in self.recalled]

    def estimate_usage(self) -> None:
        """An answer that broke off has cost something too, and nobody says how much."""
        if self.words and not self.about_forgetting:
            self.usage = Usage(self.prompt_tokens, estimate_tokens(self.answer))

    @property
    def answer(self) -> str:
        return "".join(self.words)


def as_recalled(memory: Memory | SearchRow, score: float) -> RecalledMemory:
    return RecalledMemory(id=memory.id, memory=memory.content, score=score, created_at=memory.created_at)


@dataclass(frozen=True, slots=True)
class Event:
    """`recalled`, `token`…, `message`, `done`; `error` instead of what can no longer come."""

    kind: str
    data: dict[str, object]
