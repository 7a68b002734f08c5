"""What the provider's routes share, and how a session is granted."""

import time
import uuid
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.ports import ShortTerm
from app.identity.local.accounts import Account, AccountRepository
from app.identity.local.errors import IdentityError
from app.identity.local.keys import SigningKeys
from app.identity.local.lockout import Lockout
from app.identity.local.mail import Mailer, Outbox
from app.identity.local.one_time import OneTimeTokenRepository
from app.identity.local.passwords import PasswordHasher
from app.identity.local.schemas import user_json
from app.identity.local.sessions import Grant, OpenSession, Origin, RefreshSecret, SessionRepository
from app.identity.local.settings import IdentitySettings
from app.identity.tokens import AUDIENCE, InvalidToken, Issuer, StaticKeys, Verifier


@dataclass(frozen=True, slots=True)
class LocalIdentity:
    """Built once by `open_identity`; whoever built it closes it."""

    database: Database
    keys: SigningKeys
    settings: IdentitySettings
    hasher: PasswordHasher
    lockout: Lockout
    outbox: Outbox
    tokens: Verifier
    secret: RefreshSecret

    def sessions(self, tx: AsyncSession) -> SessionRepository:
        return SessionRepository(tx, self.secret)

    def one_time(self, tx: AsyncSession) -> OneTimeTokenRepository:
        return OneTimeTokenRepository(tx, self.settings.one_time_token_seconds)

    async def close(self) -> None:
        await self.outbox.drain()
        self.hasher.close()


def open_identity(
    database: Database, keys: SigningKeys, settings: IdentitySettings, mailer: Mailer, memory: ShortTerm
) -> LocalIdentity:
    return LocalIdentity(
        database=database,
        keys=keys,
        settings=settings,
        hasher=PasswordHasher(),
        lockout=Lockout(memory, settings.limits),
        outbox=Outbox(mailer),
        tokens=Verifier([issuer(keys, settings.issuer)]),
        secret=RefreshSecret(settings.secret_key),
    )


def issuer(keys: SigningKeys, name: str) -> Issuer:
    """Us, as whoever verifies tokens sees us: no HTTP in between."""
    return Issuer(name, StaticKeys(keys.public()), frozenset({"ES256"}))


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The person behind a request, with a session that is alive right now."""

    account: Account
    session: OpenSession


async def authenticate(house: LocalIdentity, token: str) -> SignedIn:
    account_id, session_id = await _read_token(house, token)
    async with house.database.system() as tx:
        account = await AccountRepository(tx).by_id(account_id)
        session = await house.sessions(tx).find(session_id, account_id)
    if account is None or account.deleted_at is not None:
        raise IdentityError(403, "user_not_found", "User from sub claim in JWT does not exist")
    if account.is_banned:
        raise IdentityError(403, "user_banned", "User is banned")
    if session is None:
        raise IdentityError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return SignedIn(account, session)


async def _read_token(house: LocalIdentity, token: str) -> tuple[uuid.UUID, uuid.UUID]:
    try:
        claims = await house.tokens.verify(token)
    except InvalidToken as error:
        raise IdentityError(403, "bad_jwt", f"invalid JWT: {error.detail}") from None
    return claims.subject, claims.session_id


async def grant(house: LocalIdentity, tx: AsyncSession, account: Account, method: str, origin: Origin) -> Grant:
    return await house.sessions(tx).open(account, method, origin, house.settings.session_seconds)


def session_json(house: LocalIdentity, account: Account, granted: Grant) -> dict[str, object]:
    now, lifetime = int(time.time()), house.settings.access_token_seconds
    return {
        "access_token": house.keys.sign(_claims(house, account, granted, now)),
        "token_type": "bearer",
        "expires_in": lifetime,
        "expires_at": now + lifetime,
        "refresh_token": granted.refresh_token,
        "user": user_json(account),
    }


def _claims(house: LocalIdentity, account: Account, granted: Grant, now: int) -> dict[str, object]:
    return {
        "iss": house.settings.issuer,
        "sub": str(account.id),
        "aud": AUDIENCE,
        "exp": now + house.settings.access_token_seconds,
        "iat": now,
        "email": account.email,
        "phone": "",
        "app_metadata": account.raw_app_meta_data,
        "user_metadata": account.raw_user_meta_data,
        "role": account.role,
        "aal": "aal1",
        "amr": [{"method": method, "timestamp": at} for method, at in granted.methods],
        "session_id": str(granted.session_id),
        "is_anonymous": account.is_anonymous,
    }
