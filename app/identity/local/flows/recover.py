"""Send e-mails on request. The response for an unknown address is the same, but no e-mail is sent.

Accounts are looked up after the response, so that its time does not tell either who has one.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.errors import IdentityError, invalid
from app.identity.local.flows.verify import session_method
from app.identity.local.mail.mailer import Mail
from app.identity.local.mail.redirects import choose_redirect, code_mail, link_mail
from app.identity.local.provider import AuthenticatedAccount, IdentityProvider
from app.identity.local.schemas import EmailBody, ResendBody, read_email
from app.identity.local.storage.accounts import AccountRepository, AccountRow
from app.identity.local.storage.flow_states import CodeChallenge, FlowStateRepository, read_challenge
from app.identity.local.storage.one_time_tokens import TokenType


@dataclass(frozen=True, slots=True)
class Link:
    """The kind of a link, as `type` of its address, and what it leads to."""

    kind: str
    token_type: TokenType
    challenge: CodeChallenge | None
    redirect_to: str | None


async def issue_link(provider: IdentityProvider, tx: AsyncSession, account: AccountRow, link: Link) -> Mail:
    """Issue a token and return its e-mail, to be sent after the commit. With a challenge, the link leads to a code."""
    if link.challenge:
        await FlowStateRepository(tx).begin(account.id, link.challenge, session_method(link.kind))
    token = await provider.one_time(tx).issue(
        account.id, account.email, link.token_type, with_challenge=link.challenge is not None
    )
    redirect = choose_redirect(provider.settings, link.redirect_to)
    return link_mail(provider.settings, account.email, link.kind, token, redirect)


async def recover(provider: IdentityProvider, body: EmailBody, redirect_to: str | None) -> None:
    email, challenge = read_email(body.email), read_challenge(body.code_challenge, body.code_challenge_method)
    await provider.lockout.mail("recovery", email, provider.settings.mail_interval_seconds)
    if provider.outbox.is_ready():
        provider.outbox.prepare(_send_recovery(provider, email, challenge, redirect_to))


async def _send_recovery(
    provider: IdentityProvider, email: str, challenge: CodeChallenge | None, redirect_to: str | None
) -> None:
    async with provider.database.system() as tx:
        account = await AccountRepository(tx).by_email(email)
        if account is None or account.deleted_at is not None:
            return
        mail = await issue_link(provider, tx, account, Link("recovery", TokenType.RECOVERY, challenge, redirect_to))
    provider.outbox.put(mail)


async def resend(provider: IdentityProvider, body: ResendBody, redirect_to: str | None) -> None:
    if body.type not in ("signup", "email_change"):
        raise invalid("Missing one of these types: signup, email_change")
    email, challenge = read_email(body.email), read_challenge(body.code_challenge, body.code_challenge_method)
    await provider.lockout.mail(body.type, email, provider.settings.mail_interval_seconds)
    if provider.outbox.is_ready():
        provider.outbox.prepare(_resend(provider, body.type, email, challenge, redirect_to))


async def _resend(
    provider: IdentityProvider, kind: str, email: str, challenge: CodeChallenge | None, redirect_to: str | None
) -> None:
    async with provider.database.system() as tx:
        account = await AccountRepository(tx).by_email(email)
    if account is None:
        return
    if kind == "email_change" and account.email_change:
        await send_email_change(provider, account, account.email_change, challenge, redirect_to)
    if kind == "signup" and account.email_confirmed_at is None:
        async with provider.database.system() as tx:
            link = Link("signup", TokenType.CONFIRMATION, challenge, redirect_to)
            mail = await issue_link(provider, tx, account, link)
        provider.outbox.put(mail)


async def send_email_change(
    provider: IdentityProvider,
    account: AccountRow,
    email: str,
    challenge: CodeChallenge | None,
    redirect_to: str | None,
) -> None:
    """Send a link to the new address. With `secure_email_change`, the old address must confirm the change too."""
    redirect = choose_redirect(provider.settings, redirect_to)
    recipients = [(email, TokenType.EMAIL_NEW)]
    if provider.settings.secure_email_change and account.email:
        recipients.append((account.email, TokenType.EMAIL_CURRENT))
    if not provider.outbox.is_ready():
        return
    async with provider.database.system() as tx:
        await AccountRepository(tx).change(account.id, email_change=email, email_change_confirm_status=0)
        if challenge:
            await FlowStateRepository(tx).begin(account.id, challenge, session_method("email_change"))
        one_time, coded = provider.one_time(tx), challenge is not None
        issued = [(to, await one_time.issue(account.id, to, kind, with_challenge=coded)) for to, kind in recipients]
    for to, token in issued:
        provider.outbox.put(link_mail(provider.settings, to, "email_change", token, redirect))


async def reauthenticate(provider: IdentityProvider, current: AuthenticatedAccount) -> None:
    if not current.account.email:
        message = "Reauthentication requires the user to have an email or a phone number"
        raise IdentityError(422, "validation_failed", message)
    await provider.lockout.mail("reauthentication", current.account.email, provider.settings.mail_interval_seconds)
    if not provider.outbox.is_ready():
        return
    async with provider.database.system() as tx:
        token = await provider.one_time(tx).issue(current.account.id, current.account.email, TokenType.REAUTHENTICATION)
    provider.outbox.put(code_mail(current.account.email, token))
