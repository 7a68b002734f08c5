"""Generate the link of an e-mail, for an administrator who sends it."""

import datetime as dt

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.admin.manage_accounts import hash_unknown_password
from app.identity.local.errors import IdentityError
from app.identity.local.mail.redirects import action_link, choose_redirect
from app.identity.local.provider import IdentityProvider
from app.identity.local.schemas import LinkBody, merge_metadata, read_email, user_json
from app.identity.local.security.passwords import check_rules
from app.identity.local.storage.accounts import AccountRepository, AccountRow, NewAccount, email_exists
from app.identity.local.storage.one_time_tokens import OneTimeToken, TokenType


async def generate_link(provider: IdentityProvider, body: LinkBody, redirect_to: str | None) -> dict[str, object]:
    """Return what an e-mail would contain, without sending one."""
    email = read_email(body.email)
    new_email = read_email(body.new_email) if body.type.startswith("email_change") else None
    new = await _account_to_create(provider, body, email)
    async with provider.database.system() as tx:
        account, kind = await _find_or_create(AccountRepository(tx), body, new)
        token = await _issue(provider, tx, account, kind, new_email)
        account = await AccountRepository(tx).get(account.id)
    return _link_json(provider, account, kind, token, choose_redirect(provider.settings, redirect_to))


async def _account_to_create(provider: IdentityProvider, body: LinkBody, email: str) -> NewAccount | None:
    """The account that this type of link creates if the address has none. None for the other types."""
    if body.type not in ("signup", "invite", "magiclink"):
        return None
    if body.password:
        check_rules(body.password, provider.settings.passwords)
    password_hash = await (provider.hasher.hash(body.password) if body.password else hash_unknown_password(provider))
    return NewAccount(email, password_hash, merge_metadata({}, body.data or {}))


async def _find_or_create(
    accounts: AccountRepository, body: LinkBody, new: NewAccount | None
) -> tuple[AccountRow, str]:
    account = await accounts.by_email(read_email(body.email))
    if account is not None:
        if body.type in ("signup", "invite") and account.email_confirmed_at is not None:
            raise email_exists()
        return account, body.type
    added = None if new is None else await accounts.add(new)
    if added is None:
        raise IdentityError(404, "user_not_found", "User with this email not found")
    return added, "signup" if body.type == "magiclink" else body.type


async def _issue(
    provider: IdentityProvider, tx: AsyncSession, account: AccountRow, kind: str, new_email: str | None
) -> OneTimeToken:
    accounts, one_time = AccountRepository(tx), provider.one_time(tx)
    if kind == "invite":
        await accounts.change(account.id, invited_at=dt.datetime.now(dt.UTC))
    if kind in ("signup", "invite"):
        return await one_time.issue(account.id, account.email, TokenType.CONFIRMATION)
    if new_email is None:
        return await one_time.issue(account.id, account.email, TokenType.RECOVERY)
    if await accounts.by_email(new_email) is not None:
        raise email_exists()
    await accounts.change(account.id, email_change=new_email, email_change_confirm_status=0)
    if kind == "email_change_new":
        return await one_time.issue(account.id, new_email, TokenType.EMAIL_NEW)
    return await one_time.issue(account.id, account.email, TokenType.EMAIL_CURRENT)


def _link_json(
    provider: IdentityProvider, account: AccountRow, kind: str, token: OneTimeToken, redirect: str
) -> dict[str, object]:
    link_kind = "email_change" if kind.startswith("email_change") else kind
    return {
        **user_json(account),
        "action_link": action_link(provider.settings, token.link_token, link_kind, redirect),
        "email_otp": token.code,
        "hashed_token": token.link_token,
        "verification_type": kind,
        "redirect_to": redirect,
    }
