"""An account, its second factors and a session, as both ports to them return them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Factor:
    id: UUID
    type: str
    """`totp` for an authenticator app. Supabase also has `phone` and `webauthn`."""
    is_verified: bool
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A user who can sign in."""

    id: UUID
    email: str
    created_at: dt.datetime
    metadata: Mapping[str, object] = field(default_factory=dict)
    """Written by the user. It is shown, but never used for decisions."""
    new_email: str | None = None
    """The new address, until it is confirmed."""
    confirmed_at: dt.datetime | None = None
    last_sign_in_at: dt.datetime | None = None
    is_anonymous: bool = False
    factors: tuple[Factor, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedIn:
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    account: Account
    second_factor_required: bool = False
    """Whether the account has a second factor that this session has not confirmed."""
