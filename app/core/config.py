"""What features may know of the settings: plain values, no secrets, chosen by wiring."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Values:
    base_url: str
    auth_limit: str = "30/minute"
    recall_candidates: int = 50
    recency_half_life_days: float = 30
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 4 << 20
    request_timeout_seconds: float = 60
    development: bool = False
    context_tokens: int = 8000
    """What a prompt may come to, beside the answer."""
    answer_tokens: int = 1024
    recalled_memories: int = 8
    recall_threshold: float = 0.1
    has_model: bool = False
    """Without one nothing can be put in short, and what the offline responder says teaches nothing."""
    lease_renewed_seconds: float = 10
    """How often whoever answers in a session says that it still does."""
    events_kept_days: int = 30
    shared: bool = False
    """Whether accounts enter one project together, or each its own."""
    webhook_allow_private: bool = False
    """Whether receivers may be in the server's own network."""
    webhook_retry_seconds: float = 30
    """How long after a first failure it is tried again; later ones wait longer and longer."""
