"""Change the signed-in account."""

import datetime as dt

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.errors import IdentityError
from app.identity.local.flows.recover import send_email_change
from app.identity.local.provider import AuthenticatedAccount, IdentityProvider
from app.identity.local.schemas import UserBody, merge_metadata, read_email, user_json
from app.identity.local.security.passwords import check_rules
from app.identity.local.storage.accounts import AccountRepository, AccountRow, email_exists
from app.identity.local.storage.flow_states import read_challenge
from app.identity.local.storage.one_time_tokens import TokenType

RECENT_SIGN_IN = dt.timedelta(hours=24)


async def change_account(
    provider: IdentityProvider,
    current: AuthenticatedAccount,
    body: UserBody,
    redirect_to: str | None,
) -> dict[str, object]:
    if body.app_metadata is not None:
        raise IdentityError(403, "not_admin", "Updating app_metadata requires admin privileges")
    if body.phone:
        raise IdentityError(400, "phone_provider_disabled", "Phone logins are disabled")
    _require_second_factor(current, body)
    if current.account.is_anonymous and body.password and not body.email:
        message = "Updating password of an anonymous user without an email or phone is not allowed"
        raise IdentityError(422, "validation_failed", message)
    challenge = read_challenge(body.code_challenge, body.code_challenge_method)
    email = await _new_email(provider, current.account, body)
    password_hash = await _new_password(provider, current, body)
    async with provider.database.system() as tx:
        await _write(provider, tx, current, body, password_hash)
        if email is not None and provider.settings.autoconfirm:
            await AccountRepository(tx).move(current.account.id, email, confirmed=True)
    if email is not None and not provider.settings.autoconfirm:
        await send_email_change(provider, current.account, email, challenge, redirect_to)
    async with provider.database.system() as tx:
        return user_json(await AccountRepository(tx).get(current.account.id))


def _require_second_factor(current: AuthenticatedAccount, body: UserBody) -> None:
    changes = body.password or (body.email and body.email.lower() != current.account.email)
    if changes and current.account.has_second_factor and current.session.assurance != "aal2":
        message = "AAL2 session is required to update email or password when MFA is enabled."
        raise IdentityError(401, "insufficient_aal", message)


async def _new_email(provider: IdentityProvider, account: AccountRow, body: UserBody) -> str | None:
    if not body.email:
        return None
    email = read_email(body.email)
    if email == account.email:
        return None
    async with provider.database.system() as tx:
        if await AccountRepository(tx).by_email(email) is not None:
            raise email_exists()
    if not provider.settings.autoconfirm:
        sender = account.email or str(account.id)
        await provider.lockout.mail("email_change", sender, provider.settings.mail_interval_seconds)
    return email


async def _new_password(provider: IdentityProvider, current: AuthenticatedAccount, body: UserBody) -> str | None:
    if not body.password:
        return None
    check_rules(body.password, provider.settings.passwords)
    await provider.lockout.change_password(current.account.id)
    await _require_current_password(provider, current.account, body)
    await _require_nonce(provider, current, body)
    if await provider.hasher.matches(body.password, current.account.encrypted_password):
        message = "New password should be different from the old password."
        raise IdentityError(422, "same_password", message)
    return await provider.hasher.hash(body.password)


async def _require_current_password(provider: IdentityProvider, account: AccountRow, body: UserBody) -> None:
    if body.current_password is None:
        if provider.settings.require_current_password and account.encrypted_password:
            message = "Current password required when setting new password."
            raise IdentityError(400, "current_password_required", message)
        return
    if not await provider.hasher.matches(body.current_password, account.encrypted_password):
        raise IdentityError(400, "current_password_invalid", "Current password is incorrect.")


async def _require_nonce(provider: IdentityProvider, current: AuthenticatedAccount, body: UserBody) -> None:
    if not provider.settings.require_reauthentication or current.session.created_at + RECENT_SIGN_IN > dt.datetime.now(
        dt.UTC
    ):
        return
    if not body.nonce:
        raise IdentityError(400, "reauthentication_needed", "Password update requires reauthentication")
    account = current.account
    await provider.lockout.guess_code(f"nonce:{account.email}", str(account.id))
    async with provider.database.system() as tx:
        tokens, kinds = provider.one_time(tx), (TokenType.REAUTHENTICATION,)
        if await tokens.spend_code(account.email, body.nonce, kinds, account.id) is None:
            raise IdentityError(422, "reauthentication_not_valid", "Nonce has expired or is invalid")


async def _write(
    provider: IdentityProvider,
    tx: AsyncSession,
    current: AuthenticatedAccount,
    body: UserBody,
    password_hash: str | None,
) -> None:
    accounts = AccountRepository(tx)
    if body.data is not None:
        account = await accounts.get(current.account.id)
        merged = merge_metadata(account.raw_user_meta_data, body.data)
        await accounts.change(current.account.id, raw_user_meta_data=merged)
    if password_hash is not None:
        await accounts.change(current.account.id, encrypted_password=password_hash)
        await provider.sessions(tx).end(current.account.id, "others", current.session.id)
