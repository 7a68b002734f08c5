"""Enroll a second factor, challenge it, and raise the session to `aal2` with a code of an authenticator app."""

import datetime as dt
import time
import uuid
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.errors import IdentityError, invalid, refuse
from app.identity.local.provider import AuthenticatedAccount, IdentityProvider, session_json
from app.identity.local.schemas import EnrollBody, VerifyFactorBody
from app.identity.local.security import totp
from app.identity.local.storage.accounts import AccountRepository
from app.identity.local.storage.factors import FactorChallengeRow, FactorRepository, FactorRow, name_conflict
from app.identity.local.storage.sessions import RequestOrigin

MOST_FACTORS = 10
TOTP_METHOD = "totp"
NOT_ENABLED = {
    "phone": IdentityError(422, "mfa_phone_enroll_not_enabled", "MFA enroll is disabled for Phone"),
    "webauthn": IdentityError(422, "mfa_webauthn_enroll_not_enabled", "MFA enroll is disabled for WebAuthn"),
}


async def enroll(provider: IdentityProvider, current: AuthenticatedAccount, body: EnrollBody) -> dict[str, object]:
    _check_type(body.factor_type)
    factor_id, secret, account = uuid.uuid4(), totp.new_secret(), current.account
    issuer = body.issuer or urlsplit(provider.settings.site_url).netloc
    uri = totp.app_uri(secret, issuer, account.email or str(account.id))
    shown = {"qr_code": totp.qr_code(uri), "secret": secret, "uri": uri}
    async with provider.database.system() as tx:
        factors = FactorRepository(tx, account.id)
        await factors.remove_abandoned()
        _check_enrollment(await factors.all(), body.friendly_name, current)
        await factors.add(factor_id, body.friendly_name, provider.factor_secrets.seal(factor_id, secret))
    return {"id": str(factor_id), "type": "totp", "friendly_name": body.friendly_name, "totp": shown}


def _check_type(factor_type: str) -> None:
    if factor_type in NOT_ENABLED:
        refuse(NOT_ENABLED[factor_type])
    if factor_type != "totp":
        raise invalid("factor_type needs to be totp, phone, or webauthn")


def _check_enrollment(known: list[FactorRow], friendly_name: str, current: AuthenticatedAccount) -> None:
    if any((factor.friendly_name or "") == friendly_name for factor in known):
        raise name_conflict(friendly_name)
    if len(known) >= MOST_FACTORS:
        message = "Maximum number of verified factors reached, unenroll to continue"
        raise IdentityError(422, "too_many_enrolled_mfa_factors", message)
    if any(factor.is_verified for factor in known) and current.session.assurance != "aal2":
        raise IdentityError(403, "insufficient_aal", "AAL2 required to enroll a new factor")


async def challenge(
    provider: IdentityProvider, current: AuthenticatedAccount, factor_id: uuid.UUID, origin: RequestOrigin
) -> dict[str, object]:
    async with provider.database.system() as tx:
        factors = FactorRepository(tx, current.account.id)
        factor = await factors.get(factor_id)
        made = await factors.challenge(factor.id, origin.address)
    return {"id": str(made.id), "type": factor.factor_type, "expires_at": int(made.expires_at.timestamp())}


async def verify_factor(
    provider: IdentityProvider,
    current: AuthenticatedAccount,
    factor_id: uuid.UUID,
    body: VerifyFactorBody,
    origin: RequestOrigin,
) -> dict[str, object]:
    """The first verification makes a factor count. Each one ends the sessions that have not confirmed a factor."""
    if not body.code:
        raise invalid("Code needs to be non-empty")
    account = current.account
    async with provider.database.system() as tx:
        factor = await FactorRepository(tx, account.id).get(factor_id)
    guesses = f"second factor:{account.id}"
    await provider.lockout.guess_code(guesses, origin.address)
    async with provider.database.system() as tx:
        await _spend_code(provider, tx, factor, body, origin)
        granted = await provider.sessions(tx).confirm(account.id, current.session.id, TOTP_METHOD, factor.id)
        await FactorRepository(tx, account.id).remove_unverified()
        changed = await AccountRepository(tx).get(account.id)
    await provider.lockout.guessed_code_right(guesses, origin.address)
    return session_json(provider, changed, granted)


async def _spend_code(
    provider: IdentityProvider, tx: AsyncSession, factor: FactorRow, body: VerifyFactorBody, origin: RequestOrigin
) -> None:
    factors = FactorRepository(tx, factor.account_id)
    answered = _check_challenge(await factors.find_challenge(factor.id, body.challenge_id), origin)
    secret = provider.factor_secrets.open(factor.id, factor.secret or "")
    if secret is None:
        message = "The secret of this factor was sealed with another secret key. Restore it, or delete the factor."
        raise IdentityError(500, "unexpected_failure", message)
    step = totp.find_step(secret, body.code, time.time())
    if step is None or not await factors.accept(factor.id, answered.id, step):
        raise IdentityError(422, "mfa_verification_failed", "Invalid TOTP code entered")


def _check_challenge(found: FactorChallengeRow | None, origin: RequestOrigin) -> FactorChallengeRow:
    if found is None:
        raise IdentityError(422, "mfa_factor_not_found", "MFA factor with the provided challenge ID not found")
    if found.verified_at is not None or not found.is_from(origin.address):
        raise IdentityError(422, "mfa_ip_address_mismatch", "Challenge and verify IP addresses mismatch.")
    if found.expires_at < dt.datetime.now(dt.UTC):
        message = f"MFA challenge {found.id} has expired, verify against another challenge or create a new challenge."
        raise IdentityError(422, "mfa_challenge_expired", message)
    return found


async def unenroll(
    provider: IdentityProvider, current: AuthenticatedAccount, factor_id: uuid.UUID
) -> dict[str, object]:
    async with provider.database.system() as tx:
        factor = await FactorRepository(tx, current.account.id).get(factor_id)
        if factor.is_verified and current.session.assurance != "aal2":
            raise IdentityError(422, "insufficient_aal", "AAL2 required to unenroll verified factor")
        await remove_factor(provider, tx, factor)
    return {"id": str(factor_id)}


async def remove_factor(provider: IdentityProvider, tx: AsyncSession, factor: FactorRow) -> None:
    """Sessions that confirmed it are `aal1` again from their next refresh on."""
    await FactorRepository(tx, factor.account_id).remove(factor.id)
    await provider.sessions(tx).forget_factor(factor.account_id, factor.id, TOTP_METHOD)
