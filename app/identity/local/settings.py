"""The settings of the identity provider, filled in by wiring. The defaults suit an installation without mail."""

from dataclasses import dataclass, field

from app.identity.local.security.lockout import LockoutLimits
from app.identity.local.security.passwords import PasswordRules


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    issuer: str
    """The public address of these routes, `http://127.0.0.1:8000/auth/v1`: the `iss` of every token."""
    site_url: str
    """Where links in e-mails lead after verification."""
    secret_key: str
    """The credential of the admin routes, like Supabase's `sb_secret_…`. Refresh tokens are derived from it."""
    redirect_urls: tuple[str, ...] = ()
    """Other allowed redirect URLs: exact, or with `*` as a wildcard."""
    autoconfirm: bool = True
    """Confirm addresses without an e-mail, for installations that cannot send one."""
    signups_open: bool = True
    anonymous_sign_in: bool = False
    passwords: PasswordRules = field(default_factory=PasswordRules)
    limits: LockoutLimits = field(default_factory=LockoutLimits)
    access_token_seconds: int = 3600
    one_time_token_seconds: int = 3600
    refresh_reuse_seconds: int = 10
    session_seconds: int | None = None
    mail_interval_seconds: int = 60
    secure_email_change: bool = True
    require_reauthentication: bool = False
    require_current_password: bool = False
