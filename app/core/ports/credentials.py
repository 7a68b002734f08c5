"""API keys and access tokens, as the features below their owners see them."""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """What a valid API key allows."""

    key_id: UUID
    project_id: UUID
    organization_id: UUID
    scopes: frozenset[str]
    expires_at: dt.datetime | None
    created_by: UUID | None
    """The account whose rights limit those of the key. None for a key of the operator."""
    creator_role: str | None
    """The role of that account in the project now. None if it was removed, banned or deleted."""
    is_delegated: bool = False
    """Whether it is an access token of OAuth: it acts as that account, and for /mcp only."""


class KeyFinder(Protocol):
    def recognises(self, credential: str) -> bool:
        """Whether the credential has the form of an API key."""
        ...

    async def find(self, credential: str) -> KeyGrant | None: ...


class TokenClaims(Protocol):
    """The account and session of a verified access token."""

    @property
    def subject(self) -> UUID: ...
    @property
    def session_id(self) -> UUID: ...
    @property
    def email(self) -> str: ...
    @property
    def assurance(self) -> str:
        """`aal1` for a session that confirmed no second factor."""
        ...

    @property
    def is_anonymous(self) -> bool: ...
    @property
    def client_id(self) -> str | None:
        """The application that the token was issued to by OAuth. None for a person's own session."""
        ...

    @property
    def scope(self) -> str: ...


class TokenVerifier(Protocol):
    async def verify(self, token: str) -> TokenClaims:
        """Raises Unauthorized if the token is forged, expired, of another issuer, or not a user's."""
        ...
