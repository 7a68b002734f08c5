"""The port to second factors: codes of an authenticator app, in addition to the password."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from app.core.ports.signed_in import SignedIn


@dataclass(frozen=True, slots=True)
class EnrolledFactor:
    id: UUID
    secret: str = field(repr=False)
    uri: str = field(repr=False)
    qr_code: str = field(repr=False)
    """An SVG image as a `data:` URL."""


@dataclass(frozen=True, slots=True)
class FactorChallenge:
    id: UUID
    expires_at: dt.datetime


class SecondFactors(Protocol):
    """Each call acts for the account of the access token."""

    async def enroll(self, access_token: str, name: str, *, ip: str | None = None) -> EnrolledFactor:
        """The factor counts from its first verification on."""
        ...

    async def challenge(self, access_token: str, factor_id: UUID, *, ip: str | None = None) -> FactorChallenge: ...

    async def verify(
        self, access_token: str, factor_id: UUID, challenge_id: UUID | None, code: str, *, ip: str | None = None
    ) -> SignedIn:
        """Raises the session. Without a challenge, one is created first."""
        ...

    async def unenroll(self, access_token: str, factor_id: UUID, *, ip: str | None = None) -> None: ...
