"""Mails that somebody asks for. Unknown addresses get the same answer as known ones, and no mail."""

from app.identity.local.accounts import Account, AccountRepository
from app.identity.local.errors import invalid
from app.identity.local.one_time import TokenType
from app.identity.local.provider import LocalIdentity, SignedIn
from app.identity.local.redirects import choose_redirect, code_mail, link_mail
from app.identity.local.schemas import EmailBody, ResendBody, read_email


async def recover(house: LocalIdentity, body: EmailBody, redirect_to: str | None) -> None:
    email = read_email(body.email)
    await house.lockout.mail("recovery", email, house.settings.mail_interval_seconds)
    async with house.database.system() as tx:
        account = await AccountRepository(tx).by_email(email)
        if account is None or account.deleted_at is not None:
            return
        token = await house.one_time(tx).issue(account.id, email, TokenType.RECOVERY)
    redirect = choose_redirect(house.settings, redirect_to)
    house.outbox.put(link_mail(house.settings, email, "recovery", token, redirect))


async def resend(house: LocalIdentity, body: ResendBody, redirect_to: str | None) -> None:
    if body.type not in ("signup", "email_change"):
        raise invalid("Missing one of these types: signup, email_change")
    email = read_email(body.email)
    await house.lockout.mail(body.type, email, house.settings.mail_interval_seconds)
    async with house.database.system() as tx:
        account = await AccountRepository(tx).by_email(email)
    if account is None:
        return
    if body.type == "email_change" and account.email_change:
        await send_email_change(house, account, account.email_change, redirect_to)
    if body.type == "signup" and account.email_confirmed_at is None:
        await _send_confirmation(house, account, redirect_to)


async def _send_confirmation(house: LocalIdentity, account: Account, redirect_to: str | None) -> None:
    async with house.database.system() as tx:
        token = await house.one_time(tx).issue(account.id, account.email, TokenType.CONFIRMATION)
    redirect = choose_redirect(house.settings, redirect_to)
    house.outbox.put(link_mail(house.settings, account.email, "signup", token, redirect))


async def send_email_change(house: LocalIdentity, account: Account, email: str, redirect_to: str | None) -> None:
    """To the new address; where changes are secured, to the old one too, and both must be confirmed."""
    redirect = choose_redirect(house.settings, redirect_to)
    letters = [(email, TokenType.EMAIL_NEW)]
    if house.settings.secure_email_change:
        letters.append((account.email, TokenType.EMAIL_CURRENT))
    async with house.database.system() as tx:
        await AccountRepository(tx).change(account.id, email_change=email, email_change_confirm_status=0)
        issued = [(to, await house.one_time(tx).issue(account.id, to, kind)) for to, kind in letters]
    for to, token in issued:
        house.outbox.put(link_mail(house.settings, to, "email_change", token, redirect))


async def reauthenticate(house: LocalIdentity, who: SignedIn) -> None:
    await house.lockout.mail("reauthentication", who.account.email, house.settings.mail_interval_seconds)
    async with house.database.system() as tx:
        token = await house.one_time(tx).issue(who.account.id, who.account.email, TokenType.REAUTHENTICATION)
    house.outbox.put(code_mail(who.account.email, token))
