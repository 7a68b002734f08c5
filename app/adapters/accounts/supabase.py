"""Accounts through GoTrue's protocol: Supabase over HTTP, or the embedded identity provider inside the process.

The client of the `supabase` package stores the session of the last sign-in. A shared client has been seen to run one
user's calls with another user's session, so each operation gets its own client. Only HTTP connections are shared.
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

from app.adapters.accounts.factors import GoTrueFactors, lacks_second_factor, parse_id, to_factors
from app.adapters.accounts.gotrue_errors import (
    ERRORS_BY_CODE,
    SIGN_IN_AGAIN,
    GoTrueRefusal,
    invalid_response,
    provider_unavailable,
    translate_refusal,
)
from app.core.errors import AppError, BadRequest, Unauthorized, Unavailable, Unprocessable
from app.core.ports.accounts import AccountChange, MailedCode, MailedLink, MailKind, ResendKind, SignOutScope
from app.core.ports.second_factors import SecondFactors
from app.core.ports.signed_in import Account, SignedIn

log = structlog.get_logger()

FORWARDED_FOR_HEADER = "Sb-Forwarded-For"
NO_REFRESH_TOKEN = "none"  # noqa: S105 - the client requires a refresh token to set a session
PAGE_SIZE = 1000
CODES_THAT_REVEAL_ACCOUNTS = {"over_email_send_rate_limit", "email_address_not_authorized", "unexpected_failure"}
"""GoTrue returns these codes about an e-mail it tried to send, and it only sends e-mails to existing accounts."""


class GoTrueIdentity:
    def __init__(
        self, url: str, http: httpx.AsyncClient, *, publishable_key: str, secret_key: str | None = None
    ) -> None:
        self._url = url
        self._http = http
        self._publishable_key = publishable_key
        self._secret_key = secret_key
        self.factors: SecondFactors = GoTrueFactors(self._session_client, _to_signed_in)

    # ------------------------------------------------------------ users

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
        async with self._user_client(ip) as client:
            response = await client.sign_up({"email": email, "password": password, "options": options})  # type: ignore[typeddict-item]  # the dict has exactly these keys
        return _to_signed_in(response.session) if response.session else _to_account(response.user)

    async def sign_in(self, email: str, password: str, *, ip: str | None = None) -> SignedIn:
        async with self._user_client(ip) as client:
            response = await client.sign_in_with_password({"email": email, "password": password})
        return _to_signed_in(response.session)

    async def refresh(self, refresh_token: str, *, ip: str | None = None) -> SignedIn:
        async with self._user_client(ip) as client:
            with _refuse_unknown_refresh_token():
                response = await client.refresh_session(refresh_token)
        return _to_signed_in(response.session)

    async def sign_out(self, access_token: str, scope: SignOutScope, *, ip: str | None = None) -> None:
        async with self._user_client(ip) as client:
            await client.admin.sign_out(access_token, scope.value)

    async def recover(self, email: str, *, redirect_to: str | None = None, ip: str | None = None) -> None:
        async with self._user_client(ip) as client:
            with _hide_whether_account_exists():
                await client.reset_password_for_email(email, {"redirect_to": redirect_to} if redirect_to else None)

    async def resend(
        self, kind: ResendKind, email: str, *, redirect_to: str | None = None, ip: str | None = None
    ) -> None:
        options = {"email_redirect_to": redirect_to} if redirect_to else {}
        async with self._user_client(ip) as client:
            with _hide_whether_account_exists():
                await client.resend({"type": kind.value, "email": email, "options": options})  # type: ignore[typeddict-item]  # the dict has exactly this key

    async def verify(self, kind: MailKind, proof: MailedLink | MailedCode, *, ip: str | None = None) -> SignedIn | None:
        credential = (
            {"token_hash": proof.token_hash}
            if isinstance(proof, MailedLink)
            else {"email": proof.email, "token": proof.code}
        )
        async with self._user_client(ip) as client:
            response = await client.verify_otp(cast(VerifyOtpParams, {**credential, "type": kind.value}))
        return None if _is_half_confirmed(response) else _to_signed_in(response.session)

    async def get_account(self, access_token: str, *, ip: str | None = None) -> Account:
        async with self._user_client(ip) as client:
            response = await client.get_user(access_token)
        return _to_account(response.user if response else None)

    async def update_account(
        self, access_token: str, change: AccountChange, *, redirect_to: str | None = None, ip: str | None = None
    ) -> Account:
        options = {"email_redirect_to": redirect_to} if redirect_to else {}
        async with self._session_client(access_token, ip) as client:
            response = await client.update_user(_to_attributes(change), options)  # type: ignore[arg-type]  # the dict has exactly this key
        return _to_account(response.user)

    # ------------------------------------------------------------ administration

    async def admin_get(self, account_id: UUID) -> Account:
        async with self._admin_client() as client:
            return _to_account((await client.admin.get_user_by_id(str(account_id))).user)

    async def admin_find(self, email: str) -> Account | None:
        page = 1
        while accounts := await self.admin_list(page, PAGE_SIZE):
            for account in accounts:
                if account.email.lower() == email.strip().lower():
                    return account
            page += 1
        return None

    async def admin_list(self, page: int = 1, per_page: int = 50) -> list[Account]:
        async with self._admin_client() as client:
            return [_to_account(user) for user in await client.admin.list_users(page, per_page)]

    async def admin_create(
        self,
        email: str,
        *,
        password: str | None = None,
        metadata: Mapping[str, object] | None = None,
        account_id: UUID | None = None,
        password_hash: str | None = None,
    ) -> Account:
        attributes = {
            "id": str(account_id) if account_id else None,
            "email": email,
            "password": password,
            "password_hash": password_hash,
            "user_metadata": dict(metadata) if metadata else None,
            "email_confirm": True,
        }
        given = {name: value for name, value in attributes.items() if value is not None}
        async with self._admin_client() as client:
            # The types of the package lack `id`, which GoTrue accepts.
            return _to_account((await client.admin.create_user(cast(AdminUserAttributes, given))).user)

    async def admin_delete(self, account_id: UUID) -> None:
        async with self._admin_client() as client:
            await client.admin.delete_user(str(account_id))

    # ------------------------------------------------------------ clients

    @asynccontextmanager
    async def _user_client(self, ip: str | None) -> AsyncIterator[AsyncGoTrueClient]:
        """Uses the publishable key where possible. Only the secret key may forward the IP address of the caller."""
        address = _valid_address(ip)
        if self._secret_key and address:
            client = self._client(self._secret_key, {FORWARDED_FOR_HEADER: address})
        else:
            client = self._client(self._publishable_key, {})
        with _translate_errors():
            yield client

    @asynccontextmanager
    async def _session_client(self, access_token: str, ip: str | None) -> AsyncIterator[AsyncGoTrueClient]:
        """For calls that the client makes only for its own session."""
        async with self._user_client(ip) as client:
            with _refuse_expired_token():
                await client.set_session(access_token, NO_REFRESH_TOKEN)
                yield client

    async def confirms_addresses(self) -> bool:
        """The client of the package has no method for this public route."""
        try:
            response = await self._http.get(f"{self._url}/settings", headers={"apikey": self._publishable_key})
            if response.status_code != 200:
                raise provider_unavailable(response.headers)
            found: object = response.json().get("mailer_autoconfirm")
        except (httpx.TransportError, ValueError):
            raise provider_unavailable({}) from None
        except AttributeError:
            raise invalid_response() from None
        return found is False

    @asynccontextmanager
    async def _admin_client(self) -> AsyncIterator[AsyncGoTrueClient]:
        if self._secret_key is None:
            raise Unavailable(
                "This server cannot administer accounts. The operator must set SUPABASE_SECRET_KEY.",
                code="secret_key_missing",
            )
        with _translate_errors():
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


# ---------------------------------------------------------------- responses and errors


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (AuthError, ValueError) as error:
        app_error = _translate_error(error)
        if app_error.status >= 500:
            log.warning("identity.failed", error=type(error).__name__, status=_response(error).status_code)
        raise app_error from None


@contextmanager
def _hide_whether_account_exists() -> Iterator[None]:
    """Log that an e-mail was not sent without telling the caller, because it reveals that the account exists."""
    try:
        yield
    except AuthApiError as error:
        if error.code not in CODES_THAT_REVEAL_ACCOUNTS and not (error.code or "").startswith("hook_"):
            raise
        log.warning("identity.mail_withheld", code=error.code, status=error.status)


@contextmanager
def _refuse_unknown_refresh_token() -> Iterator[None]:
    """GoTrue calls the refresh token of another server malformed. Front ends sign out on 401, not on 422."""
    try:
        yield
    except AuthApiError as error:
        if error.code == "validation_failed":
            _, sentence = ERRORS_BY_CODE["refresh_token_not_found"]
            raise Unauthorized(sentence, code="refresh_token_not_found") from None
        raise


@contextmanager
def _refuse_expired_token() -> Iterator[None]:
    """The client tries to refresh an access token that is about to expire, which fails without a refresh token."""
    try:
        yield
    except AuthApiError as error:
        if _response(error).request.url.path.endswith("/token"):
            raise Unauthorized("This access token has expired. Refresh it first.", code="invalid_token") from None
        raise


def _translate_error(error: AuthError | ValueError) -> AppError:
    response = _response(error)
    match error:
        case ValidationError():
            return _translate_invalid(error, response)
        case AuthWeakPasswordError():
            reasons = error.reasons if isinstance(error.reasons, list) else []
            return translate_refusal(GoTrueRefusal(422, "weak_password", error.message, response.headers, reasons))
        case AuthRetryableError():
            return provider_unavailable(response.headers)
        case AuthApiError():
            return translate_refusal(GoTrueRefusal(error.status, error.code, error.message, response.headers))
        case AuthInvalidCredentialsError():
            return Unprocessable("Send an e-mail address and a password.", code="validation_failed")
        case AuthSessionMissingError() | AuthInvalidJwtError() | UserDoesntExist():
            return Unauthorized(SIGN_IN_AGAIN)
        case AuthError():
            return _translate_unknown(response)
    return BadRequest(
        "The request contains characters that cannot be sent to the identity provider.", code="validation_failed"
    )


def _translate_invalid(error: ValidationError, response: httpx.Response) -> AppError:
    """GoTrue always sends JSON, so anything else comes from a gateway, or was cut off."""
    is_json = all(problem["type"] != "json_invalid" for problem in error.errors(include_url=False))
    return invalid_response() if is_json else provider_unavailable(response.headers)


def _translate_unknown(response: httpx.Response) -> AppError:
    """The client raises the same error for a page of a gateway and for a weak password without reasons."""
    if response.status_code == 429 or response.status_code >= 500:
        return provider_unavailable(response.headers)
    if response.status_code == 422 and '"weak_password"' in response.text:
        return translate_refusal(GoTrueRefusal(422, "weak_password", "", response.headers))
    return invalid_response()


def _response(error: BaseException) -> httpx.Response:
    """The client attaches the response to the cause of its error."""
    cause = error.__cause__
    return cause.response if isinstance(cause, httpx.HTTPStatusError) else httpx.Response(0)


def _to_signed_in(session: Session | None) -> SignedIn:
    if session is None:
        raise invalid_response()
    account = _to_account(session.user)
    required = lacks_second_factor(session.access_token, account.factors)
    return SignedIn(session.access_token, session.refresh_token, session.expires_in, account, required)


def _to_account(user: User | None) -> Account:
    if user is None:
        raise invalid_response()
    return Account(
        id=parse_id(user.id),
        email=user.email or "",
        created_at=user.created_at,
        metadata=user.user_metadata,
        new_email=user.new_email or None,
        confirmed_at=user.email_confirmed_at or user.confirmed_at,
        last_sign_in_at=user.last_sign_in_at,
        is_anonymous=user.is_anonymous,
        factors=to_factors(user),
    )


def _is_half_confirmed(response: AuthResponse) -> bool:
    return response.session is None and response.user is None


def _to_attributes(change: AccountChange) -> UserAttributes:
    attributes = {
        "email": change.email,
        "password": change.password,
        "current_password": change.current_password,
        "nonce": change.nonce,
        "data": dict(change.metadata) if change.metadata is not None else None,
    }
    return cast(UserAttributes, {name: value for name, value in attributes.items() if value is not None})


def _valid_address(ip: str | None) -> str | None:
    """A proxy's header may contain any text. Only a valid address is forwarded."""
    try:
        return str(ipaddress.ip_address(ip)) if ip else None
    except ValueError:
        return None
