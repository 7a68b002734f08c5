"""The identity provider: what its routes share, authentication, and granting sessions."""

import time
import uuid
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.ports import ShortTerm
from app.identity.local.errors import IdentityError
from app.identity.local.mail.mailer import Mailer, Outbox
from app.identity.local.schemas import user_json
from app.identity.local.security.keys import SigningKeys
from app.identity.local.security.lockout import Lockout
from app.identity.local.security.passwords import PasswordHasher
from app.identity.local.security.sealing import FactorSecrets
from app.identity.local.settings import IdentitySettings
from app.identity.local.storage.accounts import AccountRepository, AccountRow
from app.identity.local.storage.one_time_tokens import OneTimeTokenRepository
from app.identity.local.storage.sessions import (
    AuthSession,
    AuthSessionRepository,
    RefreshSecret,
    RequestOrigin,
    SessionGrant,
)
from app.identity.local.storage.sign_in_history import SignInHistoryRepository
from app.identity.tokens import AUDIENCE, InvalidToken, Issuer, StaticKeys, Verifier


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Created by `open_provider`. The code that opens it must close it."""

    database: Database
    keys: SigningKeys
    settings: IdentitySettings
    hasher: PasswordHasher
    lockout: Lockout
    outbox: Outbox
    tokens: Verifier
    secret: RefreshSecret
    factor_secrets: FactorSecrets

    def sessions(self, tx: AsyncSession) -> AuthSessionRepository:
        return AuthSessionRepository(tx, self.secret)

    def one_time(self, tx: AsyncSession) -> OneTimeTokenRepository:
        return OneTimeTokenRepository(tx, self.settings.one_time_token_seconds)

    def sign_in_history(self, tx: AsyncSession) -> SignInHistoryRepository:
        return SignInHistoryRepository(tx, self.settings.secret_key)

    async def close(self) -> None:
        await self.outbox.drain()
        self.hasher.close()


def open_provider(
    database: Database, keys: SigningKeys, settings: IdentitySettings, mailer: Mailer, memory: ShortTerm
) -> IdentityProvider:
    return IdentityProvider(
        database=database,
        keys=keys,
        settings=settings,
        hasher=PasswordHasher(),
        lockout=Lockout(memory, settings.limits),
        outbox=Outbox(mailer),
        tokens=Verifier([local_issuer(keys, settings.issuer)]),
        secret=RefreshSecret(settings.secret_key),
        factor_secrets=FactorSecrets(settings.secret_key),
    )


def local_issuer(keys: SigningKeys, name: str) -> Issuer:
    """The provider as a token issuer whose keys are known without an HTTP request."""
    return Issuer(name, StaticKeys(keys.public()), frozenset({"ES256"}))


@dataclass(frozen=True, slots=True)
class AuthenticatedAccount:
    """The account of a request, with its active session."""

    account: AccountRow
    session: AuthSession


async def authenticate(provider: IdentityProvider, token: str) -> AuthenticatedAccount:
    account_id, session_id = await _read_token(provider, token)
    async with provider.database.system() as tx:
        account = await AccountRepository(tx).by_id(account_id)
        session = await provider.sessions(tx).find(session_id, account_id)
    if account is None or account.deleted_at is not None:
        raise IdentityError(403, "user_not_found", "User from sub claim in JWT does not exist")
    if account.is_banned:
        raise IdentityError(403, "user_banned", "User is banned")
    if session is None:
        raise IdentityError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return AuthenticatedAccount(account, session)


async def _read_token(provider: IdentityProvider, token: str) -> tuple[uuid.UUID, uuid.UUID]:
    try:
        claims = await provider.tokens.verify(token)
    except InvalidToken as error:
        raise IdentityError(403, "bad_jwt", f"invalid JWT: {error.detail}") from None
    return claims.subject, claims.session_id


async def grant_session(
    provider: IdentityProvider, tx: AsyncSession, account: AccountRow, method: str, origin: RequestOrigin
) -> SessionGrant:
    await provider.sign_in_history(tx).record(account.id, origin.address)
    return await provider.sessions(tx).open(account, method, origin, provider.settings.session_seconds)


def session_json(provider: IdentityProvider, account: AccountRow, granted: SessionGrant) -> dict[str, object]:
    now, lifetime = int(time.time()), provider.settings.access_token_seconds
    return {
        "access_token": provider.keys.sign(_claims(provider, account, granted, now)),
        "token_type": "bearer",
        "expires_in": lifetime,
        "expires_at": now + lifetime,
        "refresh_token": granted.refresh_token,
        "user": user_json(account),
    }


def _claims(provider: IdentityProvider, account: AccountRow, granted: SessionGrant, now: int) -> dict[str, object]:
    return {
        "iss": provider.settings.issuer,
        "sub": str(account.id),
        "aud": AUDIENCE,
        "exp": now + provider.settings.access_token_seconds,
        "iat": now,
        "email": account.email,
        "phone": "",
        "app_metadata": account.raw_app_meta_data,
        "user_metadata": account.raw_user_meta_data,
        "role": account.role,
        "aal": granted.assurance,
        "amr": [{"method": method, "timestamp": at} for method, at in granted.methods],
        "session_id": str(granted.session_id),
        "is_anonymous": account.is_anonymous,
    }
