"""What each privacy mode allows, as a table. All code that reads or stores content decides by this table alone."""

from dataclasses import dataclass
from enum import StrEnum


class PrivacyMode(StrEnum):
    NORMAL = "normal"
    PAUSE_MEMORIES = "pause_memories"
    INCOGNITO = "incognito"


@dataclass(frozen=True, slots=True)
class PrivacyPolicy:
    reads_memories: bool
    """Memories are read into the prompt."""
    extracts: bool
    """Facts are extracted and episodes are stored."""
    keeps_transcript: bool
    """Messages are stored. Otherwise they exist in short-term memory only."""
    counts_access: bool
    """Recalling a memory increases its access count."""
    provider_may_store: bool
    """False asks the model provider not to store the request."""


PRIVACY_POLICIES = {
    PrivacyMode.NORMAL: PrivacyPolicy(
        reads_memories=True, extracts=True, keeps_transcript=True, counts_access=True, provider_may_store=True
    ),
    PrivacyMode.PAUSE_MEMORIES: PrivacyPolicy(
        reads_memories=True, extracts=False, keeps_transcript=True, counts_access=False, provider_may_store=True
    ),
    PrivacyMode.INCOGNITO: PrivacyPolicy(
        reads_memories=False, extracts=False, keeps_transcript=False, counts_access=False, provider_may_store=False
    ),
}


def policy_of(mode: str) -> PrivacyPolicy:
    return PRIVACY_POLICIES[PrivacyMode(mode)]
