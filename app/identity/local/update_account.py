"""A person changes their own account."""

import datetime as dt

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.accounts import Account, AccountRepository, email_exists
from app.identity.local.errors import IdentityError
from app.identity.local.one_time import TokenType, hash_code
from app.identity.local.passwords import check_rules
from app.identity.local.provider import LocalIdentity, SignedIn
from app.identity.local.recover import send_email_change
from app.identity.local.schemas import UserBody, merge_metadata, read_email, user_json
from app.identity.local.sessions import Origin

RECENT = dt.timedelta(hours=24)


async def change_account(
    house: LocalIdentity, who: SignedIn, body: UserBody, origin: Origin, redirect_to: str | None
) -> dict[str, object]:
    if body.app_metadata is not None:
        raise IdentityError(403, "not_admin", "Updating app_metadata requires admin privileges")
    email = await _new_email(house, who.account, body)
    password_hash = await _new_password(house, who, body, origin)
    async with house.database.system() as tx:
        await _write(house, tx, who, body, password_hash)
        if email is not None and house.settings.autoconfirm:
            await AccountRepository(tx).move(who.account.id, email, confirmed=True)
    if email is not None and not house.settings.autoconfirm:
        await send_email_change(house, who.account, email, redirect_to)
    async with house.database.system() as tx:
        return user_json(await AccountRepository(tx).get(who.account.id))


async def _new_email(house: LocalIdentity, account: Account, body: UserBody) -> str | None:
    if not body.email:
        return None
    email = read_email(body.email)
    if email == account.email:
        return None
    async with house.database.system() as tx:
        if await AccountRepository(tx).by_email(email) is not None:
            raise email_exists()
    if not house.settings.autoconfirm:
        await house.lockout.mail("email_change", account.email, house.settings.mail_interval_seconds)
    return email


async def _new_password(house: LocalIdentity, who: SignedIn, body: UserBody, origin: Origin) -> str | None:
    if not body.password:
        return None
    check_rules(body.password, house.settings.passwords)
    await _require_current_password(house, who.account, body, origin)
    await _require_nonce(house, who, body)
    if await house.hasher.matches(body.password, who.account.encrypted_password):
        message = "New password should be different from the old password."
        raise IdentityError(422, "same_password", message)
    return await house.hasher.hash(body.password)


async def _require_current_password(house: LocalIdentity, account: Account, body: UserBody, origin: Origin) -> None:
    if body.current_password is None:
        if house.settings.require_current_password and account.encrypted_password:
            message = "Current password required when setting new password."
            raise IdentityError(400, "current_password_required", message)
        return
    await house.lockout.guess(account.email, origin.address)
    if not await house.hasher.matches(body.current_password, account.encrypted_password):
        raise IdentityError(400, "current_password_invalid", "Current password is incorrect.")
    await house.lockout.guessed_right(account.email, origin.address)


async def _require_nonce(house: LocalIdentity, who: SignedIn, body: UserBody) -> None:
    if not house.settings.require_reauthentication or who.session.created_at + RECENT > dt.datetime.now(dt.UTC):
        return
    if not body.nonce:
        raise IdentityError(400, "reauthentication_needed", "Password update requires reauthentication")
    await house.lockout.guess(f"nonce:{who.account.email}", str(who.account.id))
    async with house.database.system() as tx:
        token_hash = hash_code(who.account.email, body.nonce)
        if await house.one_time(tx).spend(token_hash, (TokenType.REAUTHENTICATION,), who.account.id) is None:
            raise IdentityError(422, "reauthentication_not_valid", "Nonce has expired or is invalid")


async def _write(
    house: LocalIdentity, tx: AsyncSession, who: SignedIn, body: UserBody, password_hash: str | None
) -> None:
    accounts = AccountRepository(tx)
    if body.data is not None:
        current = await accounts.get(who.account.id)
        merged = merge_metadata(current.raw_user_meta_data, body.data)
        await accounts.change(who.account.id, raw_user_meta_data=merged)
    if password_hash is not None:
        await accounts.change(who.account.id, encrypted_password=password_hash)
        await house.sessions(tx).end(who.account.id, "others", who.session.id)
