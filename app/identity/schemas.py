"""Request and response bodies of /v1/auth. Passwords, tokens and codes are `SecretStr`, which logs never show."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints, model_validator

from app.core.http.strict_requests import RequestBody
from app.core.ports.accounts import AccountChange, MailedCode, MailedLink, MailKind, ResendKind, SignOutScope
from app.core.ports.signed_in import Account, SignedIn
from app.core.storable_text import no_nul

MAX_METADATA_BYTES = 8192
"""Metadata is part of every access token, and so of a header of every request."""


def _storable(metadata: dict[str, object]) -> dict[str, object]:
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (ValueError, RecursionError):
        raise ValueError("must be plain JSON without infinite numbers, lone surrogates or deep nesting") from None
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"must not be larger than {MAX_METADATA_BYTES} bytes")
    if "\\u0000" in text:
        raise ValueError("must not contain a NUL character")
    return metadata


def _sendable(secret: SecretStr) -> SecretStr:
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain lone surrogates") from None
    return secret


def _check_email(email: str) -> str:
    if re.fullmatch(r"[^@\s]+@[^@\s]+", email) is None:
        raise ValueError("must be an e-mail address, such as you@example.com")
    return email


Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254),
    AfterValidator(no_nul),
    AfterValidator(_check_email),
]
"""Only what cannot be an address is refused here. The identity provider decides about the rest."""
Secret = Annotated[SecretStr, Field(min_length=1, max_length=1024), AfterValidator(_sendable)]
Metadata = Annotated[dict[str, object], AfterValidator(_storable)]
RedirectTo = Annotated[str, StringConstraints(max_length=2048), AfterValidator(no_nul)]
Redirect = Annotated[RedirectTo | None, Field(description="Where the link in the e-mail leads: an allowed URL.")]


class SignUp(RequestBody):
    email: Email
    password: Secret
    metadata: Metadata = Field(default_factory=dict, description="Any JSON about the person, who can change it.")
    redirect_to: Redirect = None


class Login(RequestBody):
    email: Email
    password: Secret


class Refresh(RequestBody):
    refresh_token: Secret | None = Field(None, description="Left out with `X-Refresh-Token`, if the cookie holds it.")


class Logout(RequestBody):
    scope: SignOutScope = Field(SignOutScope.LOCAL, description="`local` (this session), `global` (all) or `others`.")


class Recover(RequestBody):
    email: Email
    redirect_to: Redirect = None


class Resend(Recover):
    type: ResendKind = ResendKind.SIGNUP


class Verify(RequestBody):
    """Send `token_hash` from a link, or `email` and `token` for a code typed from an e-mail."""

    type: MailKind
    token_hash: Secret | None = None
    email: Email | None = None
    token: Secret | None = None

    @model_validator(mode="after")
    def _require_one_proof(self) -> Self:
        if (self.token_hash is None) == (self.email is None or self.token is None):
            raise ValueError("must have either `token_hash`, or `email` and `token`")
        return self

    def proof(self) -> MailedLink | MailedCode:
        if self.email is not None and self.token is not None:
            return MailedCode(self.email, self.token.get_secret_value())
        assert self.token_hash is not None
        return MailedLink(self.token_hash.get_secret_value())


class AccountPatch(RequestBody):
    email: Email | None = Field(None, description="Takes effect when it is confirmed, if that is required.")
    password: Secret | None = Field(None, description="Ends all other sessions of the account.")
    current_password: Secret | None = None
    nonce: Secret | None = Field(None, description="The code from an e-mail, if reauthentication is required.")
    metadata: Metadata | None = Field(None, description="Merged into the existing metadata; null removes a key.")
    redirect_to: Redirect = None

    @model_validator(mode="after")
    def _require_change(self) -> Self:
        if self.email is None and self.password is None and self.metadata is None:
            raise ValueError("must have `email`, `password` or `metadata`")
        return self

    def change(self) -> AccountChange:
        secrets = {"password": self.password, "current_password": self.current_password, "nonce": self.nonce}
        values = {name: value.get_secret_value() for name, value in secrets.items() if value is not None}
        return AccountChange(email=self.email, metadata=self.metadata, **values)


class FactorRead(BaseModel):
    id: UUID
    type: str
    name: str | None
    is_verified: bool


class AccountRead(BaseModel):
    id: UUID
    email: str
    new_email: str | None = Field(None, description="An address that is not confirmed yet.")
    metadata: Mapping[str, object]
    created_at: dt.datetime
    confirmed_at: dt.datetime | None
    last_sign_in_at: dt.datetime | None
    is_anonymous: bool
    factors: list[FactorRead] = Field(description="Second factors, also those that are not verified yet.")

    @classmethod
    def of(cls, account: Account) -> Self:
        return cls.model_validate(account, from_attributes=True)


class AuthSessionRead(BaseModel):
    access_token: str
    refresh_token: str | None = Field(description="Null if the response sets it as a cookie: see `X-Refresh-Token`.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the token type of RFC 6750
    expires_in: int = Field(description="Seconds until the access token expires.")
    user: AccountRead
    second_factor_required: bool = Field(
        description="Whether `POST /v1/auth/mfa/verify` must follow before the account can administer anything."
    )

    @classmethod
    def of(cls, signed_in: SignedIn) -> Self:
        return cls(
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            expires_in=signed_in.expires_in,
            user=AccountRead.of(signed_in.account),
            second_factor_required=signed_in.second_factor_required,
        )


class ConfirmationRequired(BaseModel):
    user: AccountRead
    confirmation_required: Literal[True] = True
