"""Invite a person who has no account, with a link by e-mail. The account is theirs once they follow the link."""

import datetime as dt

from app.identity.local.errors import IdentityError
from app.identity.local.flows.recover import Link, issue_link
from app.identity.local.provider import IdentityProvider
from app.identity.local.schemas import InviteBody, merge_metadata, read_email, user_json
from app.identity.local.storage.accounts import AccountRepository, NewAccount, email_exists
from app.identity.local.storage.one_time_tokens import TokenType


async def invite(provider: IdentityProvider, body: InviteBody, redirect_to: str | None) -> dict[str, object]:
    """Also where sign-up is closed: an administrator decides. A second invitation replaces the link of the first."""
    new = NewAccount(read_email(body.email), user_metadata=merge_metadata({}, body.data or {}))
    if not provider.outbox.is_ready():
        message = "Invitations need a mail server, which is not configured"
        raise IdentityError(422, "email_provider_disabled", message)
    async with provider.database.system() as tx:
        accounts = AccountRepository(tx)
        account = await accounts.by_email(new.email) or await accounts.add(new)
        if account is None or account.email_confirmed_at is not None:
            raise email_exists()
        # Who signed up with the address before, without confirming it, need not be the person who is invited.
        await accounts.change(account.id, invited_at=dt.datetime.now(dt.UTC), encrypted_password="")
        mail = await issue_link(provider, tx, account, Link("invite", TokenType.CONFIRMATION, None, redirect_to))
        account = await accounts.get(account.id)
    provider.outbox.put(mail)
    return user_json(account)
