"""The account or key that the current request acts for. Each transaction carries it in its claims, so that triggers can
record it and usage is counted for the key."""

from contextvars import ContextVar
from uuid import UUID

OPERATOR = "operator"
"""A command on the server."""
current_actor: ContextVar[str | None] = ContextVar("current_actor", default=None)
"""None for work that the server does by itself."""


def acting_key() -> UUID | None:
    kind, _, key_id = (current_actor.get() or "").partition(":")
    return UUID(key_id) if kind == "key" else None


def account_actor(account_id: UUID) -> str:
    return f"account:{account_id}"


def key_actor(key_id: UUID) -> str:
    return f"key:{key_id}"
