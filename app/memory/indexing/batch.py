"""A batch of changes for the index, bounded by what it costs."""

from dataclasses import dataclass, field

from app.core.ports import MAX_PIECES, IndexChange, IndexUpsert

CHARACTERS_PER_TOKEN = 4
MAX_EMBEDDED_TOKENS = MAX_PIECES * 256
COUNTED_CHARACTERS_PER_TOKEN = 100
"""Counting the words of 100 characters takes about as long as embedding one token."""


@dataclass(frozen=True, slots=True)
class BatchLimit:
    changes: int
    tokens: int


def estimate_tokens(change: IndexChange) -> int:
    """What a change costs the indexer, in tokens that are embedded."""
    if not isinstance(change, IndexUpsert):
        return 1
    embedded = min(MAX_EMBEDDED_TOKENS, len(change.content) // CHARACTERS_PER_TOKEN)
    return 3 + embedded + (len(change.content) + len(change.context or "")) // COUNTED_CHARACTERS_PER_TOKEN


@dataclass(slots=True)
class Batch:
    """A change that exceeds the limit by itself is a batch of its own."""

    limit: BatchLimit
    changes: list[IndexChange] = field(default_factory=list)
    tokens: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.changes) >= self.limit.changes or self.tokens >= self.limit.tokens

    def add(self, change: IndexChange) -> bool:
        """Returns False if the change does not fit."""
        tokens = estimate_tokens(change)
        if self.changes and (self.is_full or self.tokens + tokens > self.limit.tokens):
            return False
        self.changes.append(change)
        self.tokens += tokens
        return True
