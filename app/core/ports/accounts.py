"""The port to accounts, implemented for Supabase and for the embedded identity provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.core.ports.second_factors import SecondFactors
from app.core.ports.signed_in import Account, SignedIn


@dataclass(frozen=True, slots=True)
class AccountChange:
    """None leaves a field unchanged. A null in `metadata` removes the key."""

    email: str | None = None
    password: str | None = field(default=None, repr=False)
    current_password: str | None = field(default=None, repr=False)
    nonce: str | None = field(default=None, repr=False)
    metadata: Mapping[str, object] | None = None


class SignOutScope(StrEnum):
    LOCAL = "local"
    GLOBAL = "global"
    OTHERS = "others"


class MailKind(StrEnum):
    """The reason for which a link or a code was sent."""

    SIGNUP = "signup"
    INVITE = "invite"
    MAGICLINK = "magiclink"
    RECOVERY = "recovery"
    EMAIL_CHANGE = "email_change"
    EMAIL = "email"


class ResendKind(StrEnum):
    SIGNUP = "signup"
    EMAIL_CHANGE = "email_change"


@dataclass(frozen=True, slots=True)
class MailedLink:
    """The token of a link, which also identifies the address."""

    token_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MailedCode:
    email: str
    code: str = field(repr=False)


class Identity(Protocol):
    """Every failure is one of core/errors.py.

    `ip` is the address of the client. The provider uses it for rate limits and audit logs instead of this server's.
    """

    @property
    def factors(self) -> SecondFactors: ...

    async def sign_up(
        self,
        email: str,
        password: str,
        metadata: Mapping[str, object],
        *,
        redirect_to: str | None = None,
        ip: str | None = None,
    ) -> SignedIn | Account:
        """Returns an account without a session if the address must be confirmed first, even if it is already taken."""
        ...

    async def sign_in(self, email: str, password: str, *, ip: str | None = None) -> SignedIn:
        """Raises the same Unauthorized for an unknown address and for a wrong password."""
        ...

    async def refresh(self, refresh_token: str, *, ip: str | None = None) -> SignedIn: ...

    async def sign_out(self, access_token: str, scope: SignOutScope, *, ip: str | None = None) -> None: ...

    async def recover(self, email: str, *, redirect_to: str | None = None, ip: str | None = None) -> None:
        """Send a link to set a new password. Does not reveal whether the account exists."""
        ...

    async def resend(
        self, kind: ResendKind, email: str, *, redirect_to: str | None = None, ip: str | None = None
    ) -> None:
        """Send the e-mail again. Does not reveal whether the account exists."""
        ...

    async def verify(self, kind: MailKind, proof: MailedLink | MailedCode, *, ip: str | None = None) -> SignedIn | None:
        """Returns None while the second confirmation of a change of address is missing."""
        ...

    async def get_account(self, access_token: str, *, ip: str | None = None) -> Account: ...

    async def update_account(
        self, access_token: str, change: AccountChange, *, redirect_to: str | None = None, ip: str | None = None
    ) -> Account: ...

    async def confirms_addresses(self) -> bool:
        """Whether a confirmed address was checked. Without it, the provider marks every address as confirmed."""
        ...

    async def admin_get(self, account_id: UUID) -> Account: ...

    async def admin_find(self, email: str) -> Account | None:
        """Iterates over all accounts: for the command line, not for requests."""
        ...

    async def admin_list(self, page: int = 1, per_page: int = 50) -> list[Account]:
        """Empty beyond the last page."""
        ...

    async def admin_create(
        self,
        email: str,
        *,
        password: str | None = None,
        metadata: Mapping[str, object] | None = None,
        account_id: UUID | None = None,
        password_hash: str | None = None,
    ) -> Account:
        """Creates an account with a confirmed address. An id and a bcrypt hash can be kept from another system."""
        ...

    async def admin_delete(self, account_id: UUID) -> None: ...
