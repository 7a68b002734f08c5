"""Use a token or code from an e-mail: it confirms the address and signs the account in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.errors import IdentityError, invalid
from app.identity.local.provider import IdentityProvider, grant_session, session_json
from app.identity.local.schemas import VerifyBody, read_email
from app.identity.local.storage.accounts import AccountRepository, AccountRow
from app.identity.local.storage.flow_states import FlowStateRepository, no_flow
from app.identity.local.storage.one_time_tokens import SpentToken, TokenType
from app.identity.local.storage.sessions import RequestOrigin, SessionGrant

FIRST_ADDRESS_CONFIRMED = "Confirmation link accepted. Please proceed to confirm link sent to the other email"
TYPES = {
    "signup": (TokenType.CONFIRMATION,),
    "invite": (TokenType.CONFIRMATION,),
    "recovery": (TokenType.RECOVERY,),
    "magiclink": (TokenType.RECOVERY,),
    "email": (TokenType.CONFIRMATION, TokenType.RECOVERY),
    "email_change": (TokenType.EMAIL_NEW, TokenType.EMAIL_CURRENT),
}


async def verify(provider: IdentityProvider, body: VerifyBody, origin: RequestOrigin) -> dict[str, object] | None:
    """Return a session, or None if the other address must still confirm a change."""
    async with _count_guess(provider, body, origin) as email, provider.database.system() as tx:
        account = await _confirm_address(provider, tx, body, email)
        if account is None:
            return None
        signed_in = await sign_in_with(provider, tx, account, session_method(body.type), origin)
    return session_json(provider, *signed_in)


async def verify_for_code(provider: IdentityProvider, body: VerifyBody, origin: RequestOrigin) -> str | None:
    """Confirm the address of a link, and return the code that its client exchanges. None as in `verify`."""
    async with _count_guess(provider, body, origin) as email, provider.database.system() as tx:
        account = await _confirm_address(provider, tx, body, email)
        if account is None:
            return None
        code = await FlowStateRepository(tx).issue_code(account.id, session_method(body.type))
        if code is None:
            raise no_flow()
    return code


@asynccontextmanager
async def _count_guess(
    provider: IdentityProvider, body: VerifyBody, origin: RequestOrigin
) -> AsyncIterator[str | None]:
    """Count a guess before it is checked, and take it back if it was right. Yields the address of a typed code."""
    if body.type not in TYPES:
        raise invalid("Verify requires a verification type")
    email = _read_email_of_code(body)
    if email is None:
        await provider.lockout.guess_link(origin.address)
        yield None
        await provider.lockout.guessed_link_right(origin.address)
    else:
        await provider.lockout.guess_code(email, origin.address)
        yield email
        await provider.lockout.guessed_code_right(email, origin.address)


def _read_email_of_code(body: VerifyBody) -> str | None:
    """The address that a typed code was sent to. None for the token of a link."""
    if body.token_hash:
        return None
    if not body.token:
        raise invalid("Verify requires a token or a token hash")
    if not body.email:
        raise invalid("Only an email address or phone number should be provided on verify")
    return read_email(body.email)


async def _spend(
    provider: IdentityProvider, tx: AsyncSession, body: VerifyBody, email: str | None
) -> SpentToken | None:
    if email is None:
        return await provider.one_time(tx).spend_link(body.token_hash or "", TYPES[body.type])
    return await provider.one_time(tx).spend_code(email, (body.token or "").replace("-", ""), TYPES[body.type])


async def _confirm_address(
    provider: IdentityProvider, tx: AsyncSession, body: VerifyBody, email: str | None
) -> AccountRow | None:
    """Return the account, or None if its other address must still confirm a change."""
    accounts = AccountRepository(tx)
    spent = await _spend(provider, tx, body, email)
    if spent is None:
        raise IdentityError(403, "otp_expired", "Token has expired or is invalid")
    account = await accounts.get(spent.account_id)
    if account.is_banned:
        raise IdentityError(403, "user_banned", "User is banned")
    if body.type == "email_change":
        return account if await _change_email(provider, tx, account, spent) else None
    await accounts.confirm(account.id)
    return account


async def sign_in_with(
    provider: IdentityProvider, tx: AsyncSession, account: AccountRow, method: str, origin: RequestOrigin
) -> tuple[AccountRow, SessionGrant]:
    granted = await grant_session(provider, tx, account, method, origin)
    accounts = AccountRepository(tx)
    await accounts.record_sign_in(account)
    return await accounts.get(account.id), granted


async def _change_email(provider: IdentityProvider, tx: AsyncSession, account: AccountRow, spent: SpentToken) -> bool:
    other = TokenType.EMAIL_CURRENT if spent.token_type is TokenType.EMAIL_NEW else TokenType.EMAIL_NEW
    accounts = AccountRepository(tx)
    if provider.settings.secure_email_change and await provider.one_time(tx).is_pending(account.id, other):
        await accounts.change(account.id, email_change_confirm_status=1)
        return False
    if not account.email_change:
        raise IdentityError(403, "otp_expired", "Token has expired or is invalid")
    await accounts.move(account.id, account.email_change, confirmed=True)
    return True


def session_method(kind: str) -> str:
    """The authentication method of the session, as GoTrue names it."""
    return {"signup": "email/signup", "email": "otp"}.get(kind, kind)
