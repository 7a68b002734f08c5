"""Spend a token or code that came by mail: it confirms an address, and signs its owner in."""

import re

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.accounts import Account, AccountRepository
from app.identity.local.errors import IdentityError, invalid
from app.identity.local.one_time import Spent, TokenType, hash_code
from app.identity.local.provider import LocalIdentity, grant, session_json
from app.identity.local.schemas import VerifyBody, read_email
from app.identity.local.sessions import Grant, Origin

TOKEN_HASH = re.compile(r"[0-9a-f]{56}")
HALF_WAY = "Confirmation link accepted. Please proceed to confirm link sent to the other email"
TYPES = {
    "signup": (TokenType.CONFIRMATION,),
    "invite": (TokenType.CONFIRMATION,),
    "recovery": (TokenType.RECOVERY,),
    "magiclink": (TokenType.RECOVERY,),
    "email": (TokenType.CONFIRMATION, TokenType.RECOVERY),
    "email_change": (TokenType.EMAIL_NEW, TokenType.EMAIL_CURRENT),
}


async def verify(house: LocalIdentity, body: VerifyBody, origin: Origin) -> dict[str, object] | None:
    """A session; None when the other half of a secured change of address is still missing."""
    if body.type not in TYPES:
        raise invalid("Verify requires a verification type")
    token_hash = await _token_hash(house, body, origin)
    async with house.database.system() as tx:
        confirmed = await _confirm(house, tx, body.type, token_hash, origin)
    if body.email:
        await house.lockout.guessed_right(f"code:{read_email(body.email)}", origin.address)
    return None if confirmed is None else session_json(house, *confirmed)


async def _token_hash(house: LocalIdentity, body: VerifyBody, origin: Origin) -> str:
    """A link carries the hash itself; a typed code is six digits and so must not be guessed at leisure."""
    if body.token_hash:
        return body.token_hash
    if not body.token:
        raise invalid("Verify requires a token or a token hash")
    if not body.email:
        raise invalid("Only an email address or phone number should be provided on verify")
    email = read_email(body.email)
    await house.lockout.guess(f"code:{email}", origin.address)
    return hash_code(email, body.token.replace("-", ""))


async def _confirm(
    house: LocalIdentity, tx: AsyncSession, kind: str, token_hash: str, origin: Origin
) -> tuple[Account, Grant] | None:
    accounts = AccountRepository(tx)
    valid = TOKEN_HASH.fullmatch(token_hash) is not None
    spent = await house.one_time(tx).spend(token_hash, TYPES[kind]) if valid else None
    if spent is None:
        raise IdentityError(403, "otp_expired", "Token has expired or is invalid")
    account = await accounts.get(spent.account_id)
    if account.is_banned:
        raise IdentityError(403, "user_banned", "User is banned")
    if kind == "email_change":
        if not await _change_email(house, tx, account, spent):
            return None
    else:
        await accounts.confirm(account.id)
    granted = await grant(house, tx, account, _method(kind), origin)
    await accounts.signed_in(account)
    return await accounts.get(account.id), granted


async def _change_email(house: LocalIdentity, tx: AsyncSession, account: Account, spent: Spent) -> bool:
    other = TokenType.EMAIL_CURRENT if spent.token_type is TokenType.EMAIL_NEW else TokenType.EMAIL_NEW
    accounts = AccountRepository(tx)
    if house.settings.secure_email_change and await house.one_time(tx).waiting(account.id, other):
        await accounts.change(account.id, email_change_confirm_status=1)
        return False
    if not account.email_change:
        raise IdentityError(403, "otp_expired", "Token has expired or is invalid")
    await accounts.move(account.id, account.email_change, confirmed=True)
    return True


def _method(kind: str) -> str:
    """How the session says it was opened, in GoTrue's words."""
    return {"signup": "email/signup", "email": "otp"}.get(kind, kind)
