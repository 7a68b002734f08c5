"""Make an account, without telling strangers who already has one where mails can be sent."""

import datetime as dt
import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.accounts import Account, AccountRepository, NewAccount
from app.identity.local.errors import IdentityError, invalid
from app.identity.local.one_time import OneTimeToken, TokenType
from app.identity.local.passwords import check_rules
from app.identity.local.provider import LocalIdentity, grant, session_json
from app.identity.local.redirects import choose_redirect, link_mail
from app.identity.local.schemas import SignUpBody, merge_metadata, read_email, user_json
from app.identity.local.sessions import Grant, Origin


async def sign_up(house: LocalIdentity, body: SignUpBody, origin: Origin, redirect_to: str | None) -> dict[str, object]:
    new = await _read(house, body)
    if not house.settings.autoconfirm:
        return await _sign_up_unconfirmed(house, new, redirect_to)
    async with house.database.system() as tx:
        account, granted = await _sign_up_confirmed(house, tx, new, origin)
    return session_json(house, account, granted)


async def _read(house: LocalIdentity, body: SignUpBody) -> NewAccount:
    _refuse_other_ways(house, body)
    email = read_email(body.email)
    if not body.password:
        raise invalid("Signup requires a valid password")
    check_rules(body.password, house.settings.passwords)
    password_hash = await house.hasher.hash(body.password)
    return NewAccount(email, password_hash, merge_metadata({}, body.data or {}), confirmed=house.settings.autoconfirm)


def _refuse_other_ways(house: LocalIdentity, body: SignUpBody) -> None:
    if not house.settings.signups_open:
        raise IdentityError(422, "signup_disabled", "Signups not allowed for this instance")
    if body.phone:
        raise IdentityError(400, "phone_provider_disabled", "Phone signups are disabled")
    if not body.email and not body.password:
        raise IdentityError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")


async def _sign_up_confirmed(
    house: LocalIdentity, tx: AsyncSession, new: NewAccount, origin: Origin
) -> tuple[Account, Grant]:
    accounts = AccountRepository(tx)
    account = await accounts.add(new)
    if account is None:
        raise IdentityError(422, "user_already_exists", "User already registered")
    granted = await grant(house, tx, account, "password", origin)
    await accounts.signed_in(account)
    return await accounts.get(account.id), granted


async def _sign_up_unconfirmed(house: LocalIdentity, new: NewAccount, redirect_to: str | None) -> dict[str, object]:
    await house.lockout.mail("signup", new.email, house.settings.mail_interval_seconds)
    async with house.database.system() as tx:
        account, token = await _await_confirmation(house, tx, new)
    if token is None:
        return _pretend(account, new)
    redirect = choose_redirect(house.settings, redirect_to)
    house.outbox.put(link_mail(house.settings, new.email, "signup", token, redirect))
    return user_json(account)


async def _await_confirmation(
    house: LocalIdentity, tx: AsyncSession, new: NewAccount
) -> tuple[Account, OneTimeToken | None]:
    """A second try before the first was confirmed changes nothing but sends the mail again, as in GoTrue."""
    accounts = AccountRepository(tx)
    account = await accounts.add(new) or await accounts.by_email(new.email)
    if account is None:
        raise IdentityError(409, "conflict", "The account changed at this very moment; try again")
    if account.email_confirmed_at is not None:
        return account, None
    token = await house.one_time(tx).issue(account.id, new.email, TokenType.CONFIRMATION)
    return await accounts.get(account.id), token


def _pretend(account: Account, new: NewAccount) -> dict[str, object]:
    """A user that looks new and says nothing of the one who has this address."""
    now = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
    shown = {"id": str(uuid.uuid4()), "aud": account.aud, "role": "authenticated", "email": new.email, "phone": ""}
    metadata = {"app_metadata": {"provider": "email", "providers": ["email"]}, "user_metadata": new.user_metadata}
    times = {"confirmation_sent_at": now, "created_at": now, "updated_at": now}
    return {**shown, **metadata, **times, "identities": [], "is_anonymous": False}
