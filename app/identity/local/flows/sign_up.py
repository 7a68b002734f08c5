"""Create an account. Where e-mails are confirmed, the response does not reveal whether the address has one."""

import datetime as dt
import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.errors import IdentityError, invalid
from app.identity.local.flows.recover import Link, issue_link
from app.identity.local.mail.mailer import Mail
from app.identity.local.provider import IdentityProvider, grant_session, session_json
from app.identity.local.schemas import SignUpBody, merge_metadata, read_email, user_json
from app.identity.local.security.passwords import check_rules
from app.identity.local.storage.accounts import AccountRepository, AccountRow, NewAccount
from app.identity.local.storage.flow_states import CodeChallenge, read_challenge
from app.identity.local.storage.one_time_tokens import TokenType
from app.identity.local.storage.sessions import RequestOrigin, SessionGrant


async def sign_up(
    provider: IdentityProvider, body: SignUpBody, origin: RequestOrigin, redirect_to: str | None
) -> dict[str, object]:
    if not body.email and not body.phone:
        return await _sign_up_anonymously(provider, body, origin)
    new = await _read_body(provider, body)
    if not provider.settings.autoconfirm:
        challenge = read_challenge(body.code_challenge, body.code_challenge_method)
        return await _sign_up_unconfirmed(provider, new, challenge, redirect_to)
    async with provider.database.system() as tx:
        account, granted = await _sign_up_confirmed(provider, tx, new, origin)
    return session_json(provider, account, granted)


async def _read_body(provider: IdentityProvider, body: SignUpBody) -> NewAccount:
    _check_sign_up_allowed(provider, body)
    email = read_email(body.email)
    if not body.password:
        raise invalid("Signup requires a valid password")
    check_rules(body.password, provider.settings.passwords)
    password_hash = await provider.hasher.hash(body.password)
    return NewAccount(
        email, password_hash, merge_metadata({}, body.data or {}), confirmed=provider.settings.autoconfirm
    )


def _check_sign_up_allowed(provider: IdentityProvider, body: SignUpBody) -> None:
    if not provider.settings.signups_open:
        raise IdentityError(422, "signup_disabled", "Signups not allowed for this instance")
    if body.phone:
        raise IdentityError(400, "phone_provider_disabled", "Phone signups are disabled")


async def _sign_up_anonymously(
    provider: IdentityProvider, body: SignUpBody, origin: RequestOrigin
) -> dict[str, object]:
    if not provider.settings.anonymous_sign_in:
        raise IdentityError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
    _check_sign_up_allowed(provider, body)
    metadata = merge_metadata({}, body.data or {})
    async with provider.database.system() as tx:
        accounts = AccountRepository(tx)
        account = await accounts.add_anonymous(metadata)
        granted = await grant_session(provider, tx, account, "anonymous", origin)
        await accounts.record_sign_in(account)
        account = await accounts.get(account.id)
    return session_json(provider, account, granted)


async def _sign_up_confirmed(
    provider: IdentityProvider, tx: AsyncSession, new: NewAccount, origin: RequestOrigin
) -> tuple[AccountRow, SessionGrant]:
    accounts = AccountRepository(tx)
    account = await accounts.add(new)
    if account is None:
        raise IdentityError(422, "user_already_exists", "User already registered")
    granted = await grant_session(provider, tx, account, "password", origin)
    await accounts.record_sign_in(account)
    return await accounts.get(account.id), granted


async def _sign_up_unconfirmed(
    provider: IdentityProvider, new: NewAccount, challenge: CodeChallenge | None, redirect_to: str | None
) -> dict[str, object]:
    await provider.lockout.mail("signup", new.email, provider.settings.mail_interval_seconds)
    async with provider.database.system() as tx:
        link = Link("signup", TokenType.CONFIRMATION, challenge, redirect_to)
        account, mail = await _await_confirmation(provider, tx, new, link)
    if mail:
        provider.outbox.put(mail)
    return _fake_user_json(account, new) if account.email_confirmed_at is not None else user_json(account)


async def _await_confirmation(
    provider: IdentityProvider, tx: AsyncSession, new: NewAccount, link: Link
) -> tuple[AccountRow, Mail | None]:
    """A repeated sign-up before the confirmation only sends the e-mail again, as in GoTrue."""
    accounts = AccountRepository(tx)
    account = await accounts.add(new) or await accounts.by_email(new.email)
    if account is None:
        raise IdentityError(409, "conflict", "The account changed during the request. Try again.")
    if account.email_confirmed_at is not None or not provider.outbox.is_ready():
        return account, None
    mail = await issue_link(provider, tx, account, link)
    return await accounts.get(account.id), mail


def _fake_user_json(account: AccountRow, new: NewAccount) -> dict[str, object]:
    """A response that looks like a new user and reveals nothing about the existing account."""
    now = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
    fields = {"id": str(uuid.uuid4()), "aud": account.aud, "role": "authenticated", "email": new.email, "phone": ""}
    metadata = {"app_metadata": {"provider": "email", "providers": ["email"]}, "user_metadata": new.user_metadata}
    times = {"confirmation_sent_at": now, "created_at": now, "updated_at": now}
    return {**fields, **metadata, **times, "identities": [], "is_anonymous": False}
