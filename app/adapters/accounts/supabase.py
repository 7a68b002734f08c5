"""Accounts by GoTrue's protocol: Supabase's over HTTP, our own provider's without leaving the process.

The client of the `supabase` package remembers who signed in last, so each operation gets one of its own: a shared one
has been seen to run one person's calls with another person's session. Only the HTTP connections are shared.
"""

import ipaddress
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import cast
from uuid import UUID

import httpx
import structlog
from pydantic import ValidationError
from supabase_auth import AsyncGoTrueClient
from supabase_auth.errors import (
    AuthApiError,
    AuthError,
    AuthInvalidCredentialsError,
    AuthInvalidJwtError,
    AuthRetryableError,
    AuthSessionMissingError,
    AuthWeakPasswordError,
    UserDoesntExist,
)
from supabase_auth.types import (
    AdminUserAttributes,
    AuthResponse,
    Session,
    User,
    UserAttributes,
    VerifyOtpParams,
)

from app.adapters.accounts.gotrue_errors import SIGN_IN_AGAIN, Refusal, away, explain, nonsense
from app.core.accounts import (
    Account,
    AccountChange,
    MailedCode,
    MailedLink,
    MailKind,
    ResendKind,
    SignedIn,
    SignOutScope,
)
from app.core.errors import AppError, BadRequest, Unauthorized, Unavailable, Unprocessable

log = structlog.get_logger()

FORWARDED_FOR = "Sb-Forwarded-For"
NO_REFRESH_TOKEN = "none"  # noqa: S105 - the client wants one to hold a session, and never uses it in time
PAGE = 1000
TELLS_OF_AN_ACCOUNT = {"over_email_send_rate_limit", "email_address_not_authorized", "unexpected_failure"}
"""GoTrue says these about a mail it wanted to send, and it mails only to those who have an account."""


class GoTrueIdentity:
    def __init__(
        self, url: str, http: httpx.AsyncClient, *, publishable_key: str, secret_key: str | None = None
    ) -> None:
        self._url = url
        self._http = http
        self._publishable_key = publishable_key
        self._secret_key = secret_key

    # ------------------------------------------------------------ people

    async def sign_up(
        self,
        email: str,
        password: str,
        metadata: Mapping[str, object],
        *,
        redirect_to: str | None = None,
        ip: str | None = None,
    ) -> SignedIn | Account:
        options = {"data": dict(metadata), **({"email_redirect_to": redirect_to} if redirect_to else {})}
        async with self._asking(ip) as client:
            answer = await client.sign_up({"email": email, "password": password, "options": options})  # type: ignore[typeddict-item]  # the dict holds exactly these keys
        return _signed_in(answer.session) if answer.session else _account(answer.user)

    async def sign_in(self, email: str, password: str, *, ip: str | None = None) -> SignedIn:
        async with self._asking(ip) as client:
            answer = await client.sign_in_with_password({"email": email, "password": password})
        return _signed_in(answer.session)

    async def refresh(self, refresh_token: str, *, ip: str | None = None) -> SignedIn:
        async with self._asking(ip) as client:
            answer = await client.refresh_session(refresh_token)
        return _signed_in(answer.session)

    async def sign_out(self, access_token: str, scope: SignOutScope, *, ip: str | None = None) -> None:
        async with self._asking(ip) as client:
            await client.admin.sign_out(access_token, scope.value)

    async def recover(self, email: str, *, redirect_to: str | None = None, ip: str | None = None) -> None:
        async with self._asking(ip) as client:
            with _telling_nothing():
                await client.reset_password_for_email(email, {"redirect_to": redirect_to} if redirect_to else None)

    async def resend(
        self, kind: ResendKind, email: str, *, redirect_to: str | None = None, ip: str | None = None
    ) -> None:
        options = {"email_redirect_to": redirect_to} if redirect_to else {}
        async with self._asking(ip) as client:
            with _telling_nothing():
                await client.resend({"type": kind.value, "email": email, "options": options})  # type: ignore[typeddict-item]  # the dict holds exactly this key

    async def verify(self, kind: MailKind, proof: MailedLink | MailedCode, *, ip: str | None = None) -> SignedIn | None:
        shown = (
            {"token_hash": proof.token_hash}
            if isinstance(proof, MailedLink)
            else {"email": proof.email, "token": proof.code}
        )
        async with self._asking(ip) as client:
            answer = await client.verify_otp(cast(VerifyOtpParams, {**shown, "type": kind.value}))
        return None if _is_half_way(answer) else _signed_in(answer.session)

    async def get_account(self, access_token: str, *, ip: str | None = None) -> Account:
        async with self._asking(ip) as client:
            answer = await client.get_user(access_token)
        return _account(answer.user if answer else None)

    async def update_account(
        self, access_token: str, change: AccountChange, *, redirect_to: str | None = None, ip: str | None = None
    ) -> Account:
        async with self._asking(ip) as client:
            options = {"email_redirect_to": redirect_to} if redirect_to else {}
            with _while_it_lasts():
                await client.set_session(access_token, NO_REFRESH_TOKEN)
                answer = await client.update_user(_attributes(change), options)  # type: ignore[arg-type]  # the dict holds exactly this key
        return _account(answer.user)

    # ------------------------------------------------------------ administration

    async def admin_get(self, account_id: UUID) -> Account:
        async with self._administering() as client:
            return _account((await client.admin.get_user_by_id(str(account_id))).user)

    async def admin_find(self, email: str) -> Account | None:
        page = 1
        while accounts := await self.admin_list(page, PAGE):
            for account in accounts:
                if account.email.lower() == email.strip().lower():
                    return account
            page += 1
        return None

    async def admin_list(self, page: int = 1, per_page: int = 50) -> list[Account]:
        async with self._administering() as client:
            return [_account(user) for user in await client.admin.list_users(page, per_page)]

    async def admin_create(
        self,
        email: str,
        *,
        password: str | None = None,
        metadata: Mapping[str, object] | None = None,
        account_id: UUID | None = None,
        password_hash: str | None = None,
    ) -> Account:
        wanted = {
            "id": str(account_id) if account_id else None,
            "email": email,
            "password": password,
            "password_hash": password_hash,
            "user_metadata": dict(metadata) if metadata else None,
            "email_confirm": True,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        async with self._administering() as client:
            # Its types do not know `id`, which GoTrue takes.
            return _account((await client.admin.create_user(cast(AdminUserAttributes, given))).user)

    async def admin_delete(self, account_id: UUID) -> None:
        async with self._administering() as client:
            await client.admin.delete_user(str(account_id))

    # ------------------------------------------------------------ how to ask

    @asynccontextmanager
    async def _asking(self, ip: str | None) -> AsyncIterator[AsyncGoTrueClient]:
        """With the weakest key that does: only the secret one may say for which address it asks."""
        address = _valid_address(ip)
        if self._secret_key and address:
            client = self._client(self._secret_key, {FORWARDED_FOR: address})
        else:
            client = self._client(self._publishable_key, {})
        with _translated():
            yield client

    @asynccontextmanager
    async def _administering(self) -> AsyncIterator[AsyncGoTrueClient]:
        if self._secret_key is None:
            raise Unavailable(
                "This server may not administer accounts: the operator has to set SUPABASE_SECRET_KEY",
                code="secret_key_missing",
            )
        with _translated():
            yield self._client(self._secret_key, {})

    def _client(self, key: str, headers: Mapping[str, str]) -> AsyncGoTrueClient:
        return AsyncGoTrueClient(
            url=self._url,
            headers={"apikey": key, "Authorization": f"Bearer {key}", **headers},
            http_client=self._http,
            auto_refresh_token=False,
            persist_session=False,
            flow_type="implicit",
        )


# ---------------------------------------------------------------- what came back


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (AuthError, ValueError) as error:
        answer = _translate(error)
        if answer.status >= 500:
            log.warning("identity.failed", error=type(error).__name__, status=_response(error).status_code)
        raise answer from None


@contextmanager
def _telling_nothing() -> Iterator[None]:
    """The operator may know that a mail was not sent; whoever asked may not, since it tells who has an account."""
    try:
        yield
    except AuthApiError as error:
        if error.code not in TELLS_OF_AN_ACCOUNT and not (error.code or "").startswith("hook_"):
            raise
        log.warning("identity.mail_withheld", code=error.code, status=error.status)


@contextmanager
def _while_it_lasts() -> Iterator[None]:
    """The client wants a refresh token too, and uses it when the access token is near its end."""
    try:
        yield
    except AuthApiError as error:
        if _response(error).request.url.path.endswith("/token"):
            raise Unauthorized("This access token has expired: refresh it first", code="invalid_token") from None
        raise


def _translate(error: AuthError | ValueError) -> AppError:
    response = _response(error)
    match error:
        case ValidationError():
            return nonsense()
        case AuthWeakPasswordError():
            reasons = error.reasons if isinstance(error.reasons, list) else []
            return explain(Refusal(422, "weak_password", error.message, response.headers, reasons))
        case AuthRetryableError():
            return away(response.headers)
        case AuthApiError():
            return explain(Refusal(error.status, error.code, error.message, response.headers))
        case AuthInvalidCredentialsError():
            return Unprocessable("Give an email address and a password", code="validation_failed")
        case AuthSessionMissingError() | AuthInvalidJwtError() | UserDoesntExist():
            return Unauthorized(SIGN_IN_AGAIN)
        case AuthError():
            return _translate_unknown(response)
    return BadRequest("What you sent holds characters that cannot be passed on", code="validation_failed")


def _translate_unknown(response: httpx.Response) -> AppError:
    """The client gives up on a page of HTML, and on a weak password without reasons, without saying which it was."""
    if response.status_code == 429:
        return explain(Refusal(429, None, "", response.headers))
    if response.status_code == 422 and '"weak_password"' in response.text:
        return explain(Refusal(422, "weak_password", "", response.headers))
    return nonsense()


def _response(error: BaseException) -> httpx.Response:
    """The client hides it behind the cause of its own error."""
    cause = error.__cause__
    return cause.response if isinstance(cause, httpx.HTTPStatusError) else httpx.Response(0)


def _signed_in(session: Session | None) -> SignedIn:
    if session is None:
        raise nonsense()
    return SignedIn(session.access_token, session.refresh_token, session.expires_in, _account(session.user))


def _account(user: User | None) -> Account:
    if user is None:
        raise nonsense()
    return Account(
        id=_uuid(user.id),
        email=user.email or "",
        created_at=user.created_at,
        metadata=user.user_metadata,
        new_email=user.new_email or None,
        confirmed_at=user.email_confirmed_at or user.confirmed_at,
        last_sign_in_at=user.last_sign_in_at,
    )


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise nonsense() from None


def _is_half_way(answer: AuthResponse) -> bool:
    return answer.session is None and answer.user is None


def _attributes(change: AccountChange) -> UserAttributes:
    wanted = {
        "email": change.email,
        "password": change.password,
        "current_password": change.current_password,
        "nonce": change.nonce,
        "data": dict(change.metadata) if change.metadata is not None else None,
    }
    return cast(UserAttributes, {name: value for name, value in wanted.items() if value is not None})


def _valid_address(ip: str | None) -> str | None:
    """What comes from a proxy's header is text: only an address goes into a header of ours."""
    try:
        return str(ipaddress.ip_address(ip)) if ip else None
    except ValueError:
        return None
