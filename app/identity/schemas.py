"""What goes in and out over /v1/auth. Passwords, tokens and codes are secrets: nothing prints them by accident."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints, model_validator

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
from app.core.storable_text import no_nul

LARGEST_METADATA = 8192
"""It travels in every access token, and so in a header of every request."""


def _storable(metadata: dict[str, object]) -> dict[str, object]:
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (ValueError, RecursionError):
        raise ValueError("must be plain JSON: no infinite numbers, no half characters, not nested deeply") from None
    if size > LARGEST_METADATA:
        raise ValueError(f"must not be larger than {LARGEST_METADATA} bytes")
    if "\\u0000" in text:
        raise ValueError("must not contain a NUL character")
    return metadata


def _sendable(secret: SecretStr) -> SecretStr:
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain half characters") from None
    return secret


def _like_an_address(email: str) -> str:
    if re.fullmatch(r"[^@\s]+@[^@\s]+", email) is None:
        raise ValueError("takes an e-mail address, such as you@example.com")
    return email


Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254),
    AfterValidator(no_nul),
    AfterValidator(_like_an_address),
]
"""Whether it is a good address the provider decides; here only what cannot be one is turned away."""
Secret = Annotated[SecretStr, Field(min_length=1, max_length=1024), AfterValidator(_sendable)]
Metadata = Annotated[dict[str, object], AfterValidator(_storable)]
RedirectTo = Annotated[str, StringConstraints(max_length=2048), AfterValidator(no_nul)]
Redirect = Annotated[RedirectTo | None, Field(description="Where the link in the mail leads, if it is allowed there")]


class SignUp(BaseModel):
    email: Email
    password: Secret
    metadata: Metadata = Field(default_factory=dict, description="Anything about the person; they can change it")
    redirect_to: Redirect = None


class Login(BaseModel):
    email: Email
    password: Secret


class Refresh(BaseModel):
    refresh_token: Secret


class Logout(BaseModel):
    scope: SignOutScope = Field(SignOutScope.LOCAL, description="This session, all of them, or all others")


class Recover(BaseModel):
    email: Email
    redirect_to: Redirect = None


class Resend(Recover):
    type: ResendKind = ResendKind.SIGNUP


class Verify(BaseModel):
    """From a link: `token_hash`. Typed from a mail: `email` and `token`."""

    type: MailKind
    token_hash: Secret | None = None
    email: Email | None = None
    token: Secret | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.token_hash is None) == (self.email is None or self.token is None):
            raise ValueError("send either `token_hash`, or `email` and `token`")
        return self

    def proof(self) -> MailedLink | MailedCode:
        if self.email is not None and self.token is not None:
            return MailedCode(self.email, self.token.get_secret_value())
        assert self.token_hash is not None
        return MailedLink(self.token_hash.get_secret_value())


class AccountPatch(BaseModel):
    email: Email | None = Field(None, description="Takes effect once it is confirmed, where mails are confirmed")
    password: Secret | None = Field(None, description="Ends all other sessions of the account")
    current_password: Secret | None = None
    nonce: Secret | None = Field(None, description="The code from a mail, where a change asks for one")
    metadata: Metadata | None = Field(None, description="Merged into what is there; null takes a key away")
    redirect_to: Redirect = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.email is None and self.password is None and self.metadata is None:
            raise ValueError("name what to change: `email`, `password` or `metadata`")
        return self

    def change(self) -> AccountChange:
        secrets = {"password": self.password, "current_password": self.current_password, "nonce": self.nonce}
        shown = {name: value.get_secret_value() for name, value in secrets.items() if value is not None}
        return AccountChange(email=self.email, metadata=self.metadata, **shown)


class AccountRead(BaseModel):
    id: UUID
    email: str
    new_email: str | None = Field(None, description="Waits to be confirmed")
    metadata: Mapping[str, object]
    created_at: dt.datetime
    confirmed_at: dt.datetime | None
    last_sign_in_at: dt.datetime | None

    @classmethod
    def of(cls, account: Account) -> Self:
        return cls.model_validate(account, from_attributes=True)


class SessionRead(BaseModel):
    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the word of the standard
    expires_in: int = Field(description="Seconds until the access token has to be refreshed")
    user: AccountRead

    @classmethod
    def of(cls, signed_in: SignedIn) -> Self:
        return cls(
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            expires_in=signed_in.expires_in,
            user=AccountRead.of(signed_in.account),
        )


class ConfirmationRequired(BaseModel):
    user: AccountRead
    confirmation_required: Literal[True] = True
