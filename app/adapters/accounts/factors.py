"""Second factors through GoTrue's protocol."""

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

from supabase_auth import AsyncGoTrueClient
from supabase_auth.helpers import decode_jwt
from supabase_auth.types import AuthMFAVerifyResponse, Session, User

from app.adapters.accounts.gotrue_errors import invalid_response
from app.core.ports.second_factors import EnrolledFactor, FactorChallenge
from app.core.ports.signed_in import Factor, SignedIn

OpenClient = Callable[[str, str | None], AbstractAsyncContextManager[AsyncGoTrueClient]]
"""Opens a client that has the session of an access token."""
ToSignedIn = Callable[[Session], SignedIn]


class GoTrueFactors:
    def __init__(self, open_client: OpenClient, to_signed_in: ToSignedIn) -> None:
        self._open = open_client
        self._to_signed_in = to_signed_in

    async def enroll(self, access_token: str, name: str, *, ip: str | None = None) -> EnrolledFactor:
        async with self._open(access_token, ip) as client:
            made = await client.mfa.enroll({"factor_type": "totp", "friendly_name": name})
        if made.totp is None:
            raise invalid_response()
        return EnrolledFactor(parse_id(made.id), made.totp.secret, made.totp.uri, made.totp.qr_code)

    async def challenge(self, access_token: str, factor_id: UUID, *, ip: str | None = None) -> FactorChallenge:
        async with self._open(access_token, ip) as client:
            made = await client.mfa.challenge({"factor_id": str(factor_id)})
        return FactorChallenge(parse_id(made.id), dt.datetime.fromtimestamp(made.expires_at, dt.UTC))

    async def verify(
        self, access_token: str, factor_id: UUID, challenge_id: UUID | None, code: str, *, ip: str | None = None
    ) -> SignedIn:
        async with self._open(access_token, ip) as client:
            if challenge_id is None:
                answer = await client.mfa.challenge_and_verify({"factor_id": str(factor_id), "code": code})
            else:
                answer = await client.mfa.verify(
                    {"factor_id": str(factor_id), "challenge_id": str(challenge_id), "code": code}
                )
        return self._to_signed_in(_session(answer))

    async def unenroll(self, access_token: str, factor_id: UUID, *, ip: str | None = None) -> None:
        async with self._open(access_token, ip) as client:
            await client.mfa.unenroll({"factor_id": str(factor_id)})


def _session(answer: AuthMFAVerifyResponse) -> Session:
    return Session.model_validate(answer.model_dump())


def to_factors(user: User) -> tuple[Factor, ...]:
    return tuple(
        Factor(parse_id(factor.id), factor.factor_type, factor.status == "verified", factor.friendly_name or None)
        for factor in user.factors or []
    )


def lacks_second_factor(access_token: str, factors: tuple[Factor, ...]) -> bool:
    """Whether a session that has not confirmed a factor belongs to an account that has one."""
    if not any(factor.is_verified for factor in factors):
        return False
    return bool(decode_jwt(access_token)["payload"].get("aal", "aal1") == "aal1")


def parse_id(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise invalid_response() from None
