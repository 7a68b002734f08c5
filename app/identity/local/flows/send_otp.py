"""Sign in without a password: a link and a code by e-mail. The response is the same for every address."""

from app.identity.local.errors import IdentityError, invalid
from app.identity.local.flows.recover import Link, issue_link
from app.identity.local.provider import IdentityProvider
from app.identity.local.schemas import OtpBody, merge_metadata, read_email
from app.identity.local.storage.accounts import AccountRepository, NewAccount
from app.identity.local.storage.flow_states import CodeChallenge, read_challenge
from app.identity.local.storage.one_time_tokens import TokenType


async def send_otp(provider: IdentityProvider, body: OtpBody, redirect_to: str | None) -> None:
    email, challenge = _read_body(body)
    if not provider.outbox.is_ready():
        raise IdentityError(422, "otp_disabled", "One-time passwords need a mail server, which is not configured")
    await provider.lockout.mail("otp", email, provider.settings.mail_interval_seconds)
    metadata = merge_metadata({}, body.data or {})
    creates = body.create_user and provider.settings.signups_open
    new = NewAccount(email, user_metadata=metadata) if creates else None
    provider.outbox.prepare(_send(provider, email, new, challenge, redirect_to))


def _read_body(body: OtpBody) -> tuple[str, CodeChallenge | None]:
    if body.phone:
        raise IdentityError(400, "phone_provider_disabled", "Unsupported phone provider")
    if not body.email:
        raise invalid("One of email or phone must be set")
    return read_email(body.email), read_challenge(body.code_challenge, body.code_challenge_method)


async def _send(
    provider: IdentityProvider,
    email: str,
    new: NewAccount | None,
    challenge: CodeChallenge | None,
    redirect_to: str | None,
) -> None:
    """A new address gets a link that confirms it, too. The password of an account that was never confirmed is removed:
    the person who receives the link need not be the one who chose it."""
    async with provider.database.system() as tx:
        accounts = AccountRepository(tx)
        account = await accounts.by_email(email) or (await accounts.add(new) if new else None)
        if account is None or account.deleted_at is not None:
            return
        confirmed = account.email_confirmed_at is not None
        if not confirmed:
            await accounts.change(account.id, encrypted_password="")
        kind, token_type = ("magiclink", TokenType.RECOVERY) if confirmed else ("signup", TokenType.CONFIRMATION)
        mail = await issue_link(provider, tx, account, Link(kind, token_type, challenge, redirect_to))
    provider.outbox.put(mail)
