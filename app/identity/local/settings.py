"""What the identity provider is told by wiring; the defaults are those of a house without a mail server."""

from dataclasses import dataclass, field

from app.identity.local.lockout import Limits
from app.identity.local.passwords import PasswordRules


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    issuer: str
    """The public address of these routes, `http://127.0.0.1:8000/auth/v1`: the `iss` of every token."""
    site_url: str
    """Where links in mails lead in the end."""
    secret_key: str
    """Opens the admin routes, like Supabase's `sb_secret_…`; refresh tokens are derived from it too."""
    redirect_urls: tuple[str, ...] = ()
    """Other places a link may lead: exact, or with `*` for the rest of the address."""
    autoconfirm: bool = True
    """Addresses count as confirmed at once: for houses that cannot send mail."""
    signups_open: bool = True
    passwords: PasswordRules = field(default_factory=PasswordRules)
    limits: Limits = field(default_factory=Limits)
    access_token_seconds: int = 3600
    one_time_token_seconds: int = 3600
    refresh_reuse_seconds: int = 10
    session_seconds: int | None = None
    mail_interval_seconds: int = 60
    secure_email_change: bool = True
    require_reauthentication: bool = False
    require_current_password: bool = False
