"""The settings that features may read: plain values without secrets, built by `wiring`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.core.ports import Usage

TENANT_BYTES = 32 << 20
"""The share of one tenant of short-term memory."""
BODY_BYTES = 128 << 20
"""Of the bodies that are held at the same time. Joining and parsing them takes up to three times as much memory."""


@dataclass(frozen=True, slots=True)
class Config:
    base_url: str
    auth_limit: str = "30/minute"
    vector_store: str = "edge"
    recall_candidates: int = 50
    recency_half_life_days: float = 30
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 4 << 20
    body_bytes_at_once: int = BODY_BYTES
    """Of all bodies together. A source that is alone may use half of it."""
    request_timeout_seconds: float = 60
    development: bool = False
    graphql_introspection: bool = False
    context_tokens: int = 8000
    """The longest prompt, without the answer."""
    answer_tokens: int = 1024
    max_tokens: int = 4096
    """The largest `max_tokens` of a request."""
    allowed_models: frozenset[str] | None = frozenset()
    """The models that a request may name. None means any."""
    account_token_budget: int | None = None
    server_token_budget: int | None = None
    model_prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By model, the price of a million tokens of the prompt and of the answer."""
    model: str = ""
    """The model that answers if a request names none."""
    recalled_memories: int = 8
    recall_threshold: float | None = None
    has_model: bool = False
    """Whether a language model is configured. Without one nothing is summarized, and answers are not remembered."""
    lease_renewed_seconds: float = 10
    """How often a running turn renews its lease on the session."""
    events_kept_days: int = 30
    shared: bool = False
    """Whether new accounts join one shared project instead of getting one each."""
    sign_up_is_open: bool = True
    """Whether people may create accounts. With SIGNUP_MODE=closed, the operator adds them."""
    second_factor_required: bool = True
    """For administration by accounts that have one."""
    anonymous_administration: bool = False
    oauth_registration: bool = False
    oauth_issuer: str = ""
    """The authorization server of /mcp, if it is another one than this server."""
    metrics_apart: bool = False
    """Whether METRICS_ADDRESS serves the metrics, and this server does not."""
    webhook_allow_private: bool = False
    """Whether webhook receivers may be in the server's own network."""
    webhook_retry_seconds: float = 30
    """The delay after the first failed delivery; it grows with each further failure."""

    def cost_of(self, usage: Usage, model: str | None = None) -> float:
        """0 for a model without a price."""
        prompt_price, completion_price = self.model_prices.get(model or self.model, (0.0, 0.0))
        return (usage.prompt_tokens * prompt_price + usage.completion_tokens * completion_price) / 1_000_000
