"""Sign in with a password, and stay signed in with a refresh token."""

from app.identity.local.accounts import Account, AccountRepository
from app.identity.local.errors import IdentityError, invalid
from app.identity.local.provider import LocalIdentity, grant, session_json
from app.identity.local.schemas import EMAIL, TokenBody
from app.identity.local.sessions import Grant, Origin, Refused


async def sign_in(house: LocalIdentity, body: TokenBody, origin: Origin) -> dict[str, object]:
    email = _read_email(body)
    await house.lockout.guess(email, origin.address)
    account = await _check_password(house, email, body.password)
    await house.lockout.guessed_right(email, origin.address)
    if account.is_banned:
        raise IdentityError(400, "user_banned", "User is banned")
    if account.email_confirmed_at is None:
        raise IdentityError(400, "email_not_confirmed", "Email not confirmed")
    async with house.database.system() as tx:
        accounts = AccountRepository(tx)
        if not await accounts.signed_in(account):
            raise _wrong()
        granted = await grant(house, tx, account, "password", origin)
        account = await accounts.get(account.id)
    return session_json(house, account, granted)


def _read_email(body: TokenBody) -> str:
    if body.phone:
        raise IdentityError(400, "phone_provider_disabled", "Phone logins are disabled")
    if not body.email:
        raise invalid("missing email or phone")
    return body.email.strip().lower()


async def _check_password(house: LocalIdentity, email: str, password: str) -> Account:
    """Whoever is unknown takes as long as whoever mistyped, and hears the same."""
    async with house.database.system() as tx:
        account = await AccountRepository(tx).by_email(email) if EMAIL.fullmatch(email) else None
    matches = await house.hasher.matches(password, account.encrypted_password if account else None)
    if account is None or account.deleted_at is not None or not matches:
        raise _wrong()
    return account


def _wrong() -> IdentityError:
    return IdentityError(400, "invalid_credentials", "Invalid login credentials")


async def refresh(house: LocalIdentity, body: TokenBody) -> dict[str, object]:
    if not body.refresh_token:
        raise invalid("refresh_token required")
    async with house.database.system() as tx:
        account, granted = await _refresh(house, AccountRepository(tx), body.refresh_token)
    if isinstance(granted, Refused):
        raise granted.error
    return session_json(house, account, granted)


async def _refresh(house: LocalIdentity, accounts: AccountRepository, token: str) -> tuple[Account, Grant | Refused]:
    sessions = house.sessions(accounts.tx)
    owner = await sessions.owner(token)
    if owner is None:
        message = "Invalid Refresh Token: Refresh Token Not Found"
        raise IdentityError(400, "refresh_token_not_found", message)
    account = await accounts.get(owner)
    if account.is_banned:
        raise IdentityError(400, "user_banned", "Invalid Refresh Token: User Banned")
    return account, await sessions.refresh(token, owner, house.settings.refresh_reuse_seconds)
