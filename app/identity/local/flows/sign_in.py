"""Sign in with a password, a refresh token, or the code of a link."""

from app.identity.local.errors import IdentityError, invalid
from app.identity.local.flows.verify import sign_in_with
from app.identity.local.provider import IdentityProvider, grant_session, session_json
from app.identity.local.schemas import EMAIL, TokenBody
from app.identity.local.storage.accounts import AccountRepository, AccountRow
from app.identity.local.storage.flow_states import FlowStateRepository, no_flow
from app.identity.local.storage.sessions import RefreshRefused, RequestOrigin, SessionGrant
from app.identity.local.storage.sign_in_history import SignInHistory


async def sign_in(provider: IdentityProvider, body: TokenBody, origin: RequestOrigin) -> dict[str, object]:
    email = _read_email(body)
    await provider.lockout.guess_password(email, origin.address, lambda: _read_history(provider, email, origin))
    account = await _check_password(provider, email, body.password)
    await provider.lockout.guessed_password_right(email, origin.address)
    if account.is_banned:
        raise IdentityError(400, "user_banned", "User is banned")
    if account.email_confirmed_at is None:
        raise IdentityError(400, "email_not_confirmed", "Email not confirmed")
    async with provider.database.system() as tx:
        accounts = AccountRepository(tx)
        if not await accounts.record_sign_in(account):
            raise _invalid_credentials()
        granted = await grant_session(provider, tx, account, "password", origin)
        account = await accounts.get(account.id)
    return session_json(provider, account, granted)


def _read_email(body: TokenBody) -> str:
    if body.phone:
        raise IdentityError(400, "phone_provider_disabled", "Phone logins are disabled")
    if not body.email:
        raise invalid("missing email or phone")
    return body.email.strip().lower()


async def _read_history(provider: IdentityProvider, email: str, origin: RequestOrigin) -> SignInHistory:
    if not EMAIL.fullmatch(email):
        return SignInHistory()
    async with provider.database.system() as tx:
        return await provider.sign_in_history(tx).read(email, origin.address)


async def _check_password(provider: IdentityProvider, email: str, password: str) -> AccountRow:
    """An unknown address gets the same error as a wrong password, after the same time."""
    async with provider.database.system() as tx:
        account = await AccountRepository(tx).by_email(email) if EMAIL.fullmatch(email) else None
    matches = await provider.hasher.matches(password, account.encrypted_password if account else None)
    if account is None or account.deleted_at is not None or not matches:
        raise _invalid_credentials()
    return account


def _invalid_credentials() -> IdentityError:
    return IdentityError(400, "invalid_credentials", "Invalid login credentials")


async def refresh(provider: IdentityProvider, body: TokenBody, origin: RequestOrigin) -> dict[str, object]:
    if not body.refresh_token:
        raise invalid("refresh_token required")
    await _count_refresh(provider, body.refresh_token, origin)
    async with provider.database.system() as tx:
        account, granted = await _refresh(provider, AccountRepository(tx), body.refresh_token)
    if isinstance(granted, RefreshRefused):
        raise granted.error
    return session_json(provider, account, granted)


async def exchange_code(provider: IdentityProvider, body: TokenBody, origin: RequestOrigin) -> dict[str, object]:
    """The code of a link for a session, for the client that began the flow."""
    if not body.auth_code or not body.code_verifier:
        raise invalid("invalid request: both auth code and code verifier should be non-empty")
    await provider.lockout.guess_link(origin.address)
    async with provider.database.system() as tx:
        flow = await FlowStateRepository(tx).spend(body.auth_code)
    if flow is None:
        raise no_flow()
    if flow.is_expired:
        raise IdentityError(403, "flow_state_expired", "invalid flow state, flow state has expired")
    if not flow.challenge.fits(body.code_verifier):
        raise IdentityError(400, "bad_code_verifier", "code challenge does not match previously saved code verifier")
    async with provider.database.system() as tx:
        account = await AccountRepository(tx).get(flow.account_id)
        if account.is_banned:
            raise IdentityError(400, "user_banned", "User is banned")
        account, granted = await sign_in_with(provider, tx, account, flow.method, origin)
    await provider.lockout.guessed_link_right(origin.address)
    return session_json(provider, account, granted)


async def _count_refresh(provider: IdentityProvider, token: str, origin: RequestOrigin) -> None:
    async with provider.database.system() as tx:
        owner = await provider.sessions(tx).find_owner(token)
    await (provider.lockout.refresh(owner) if owner else provider.lockout.refresh_unknown(origin.address))


async def _refresh(
    provider: IdentityProvider, accounts: AccountRepository, token: str
) -> tuple[AccountRow, SessionGrant | RefreshRefused]:
    sessions = provider.sessions(accounts.tx)
    owner = await sessions.lock_owner(token)
    account = await accounts.get(owner) if owner else None
    if owner is None or account is None or account.deleted_at is not None:
        message = "Invalid Refresh Token: Refresh Token Not Found"
        raise IdentityError(400, "refresh_token_not_found", message)
    if account.is_banned:
        raise IdentityError(400, "user_banned", "Invalid Refresh Token: User Banned")
    return account, await sessions.refresh(token, owner, provider.settings.refresh_reuse_seconds)
