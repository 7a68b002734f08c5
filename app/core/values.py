"""What features may know of the settings: plain values, no secrets, chosen by wiring.py."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Values:
    base_url: str
    auth_limit: str = "30/minute"
    recall_candidates: int = 100
    recency_half_life_days: float = 30
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 4 << 20
    request_timeout_seconds: float = 60
    development: bool = False
