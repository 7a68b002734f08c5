"""The promise of each privacy mode, as a table. Everything that reads or keeps asks here and nowhere else."""

from dataclasses import dataclass
from enum import StrEnum


class PrivacyMode(StrEnum):
    NORMAL = "normal"
    PAUSE_MEMORIES = "pause_memories"
    INCOGNITO = "incognito"


@dataclass(frozen=True, slots=True)
class Promise:
    reads_memories: bool
    """Memories are read into the prompt."""
    extracts: bool
    """Facts are extracted and episodes kept, by jobs."""
    keeps_transcript: bool
    """What is said is stored; otherwise it lives in short-term memory only."""
    counts_access: bool
    """Being recalled changes a memory's access count."""
    provider_may_store: bool
    """False asks the model provider not to store the request."""


PROMISES = {
    PrivacyMode.NORMAL: Promise(
        reads_memories=True, extracts=True, keeps_transcript=True, counts_access=True, provider_may_store=True
    ),
    PrivacyMode.PAUSE_MEMORIES: Promise(
        reads_memories=True, extracts=False, keeps_transcript=True, counts_access=False, provider_may_store=True
    ),
    PrivacyMode.INCOGNITO: Promise(
        reads_memories=False, extracts=False, keeps_transcript=False, counts_access=False, provider_may_store=False
    ),
}


def promise_of(mode: str) -> Promise:
    return PROMISES[PrivacyMode(mode)]
