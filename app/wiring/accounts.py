"""Opens the identity provider, the issuers of accepted tokens, and the mailer."""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from uuid import UUID

import httpx
from fastapi import FastAPI

from app.adapters.accounts.health import IdentityHealth
from app.adapters.accounts.supabase import GoTrueIdentity
from app.core.database.database import Database
from app.core.errors import ConfigurationError
from app.core.ports import ShortTerm
from app.core.setting_types import NO_ISSUER
from app.identity.jwks import JwksCache
from app.identity.local.mail.invitation import InvitationLinks
from app.identity.local.mail.mailer import LogMailer, Mailer, SmtpMailer, SmtpSettings
from app.identity.local.provider import IdentityProvider, local_issuer, open_provider
from app.identity.local.security.keys import load_or_create_keys, load_or_create_secret
from app.identity.local.security.lockout import LockoutLimits
from app.identity.local.security.passwords import PasswordRules
from app.identity.local.settings import IdentitySettings
from app.identity.tokens import Issuer, StaticKeys
from app.projects.provisioning import provision_account
from app.settings import Settings, SignupMode

IN_PROCESS_URL = "http://identity.local"


def instance_secret(settings: Settings) -> str:
    if settings.secret_key:
        return settings.secret_key.get_secret_value()
    return load_or_create_secret(settings.data_dir / "identity")


def pepper_of(settings: Settings) -> bytes:
    return pepper(instance_secret(settings))


def pepper(secret: str) -> bytes:
    return hashlib.sha256(b"keepsake api keys " + secret.encode()).digest()


def open_local_identity(
    settings: Settings, stack: AsyncExitStack, database: Database, memory: ShortTerm, secret: str
) -> IdentityProvider | None:
    if settings.supabase_url:
        return None
    local = open_provider(
        database,
        load_or_create_keys(settings.data_dir / "identity"),
        IdentitySettings(
            issuer=f"{settings.base_url}/auth/v1",
            site_url=settings.site_url or settings.base_url,
            secret_key=secret,
            redirect_urls=tuple(f"{origin}/*" for origin in settings.cors_origins),
            autoconfirm=not needs_confirmation(settings),
            signups_open=settings.signup_mode is not SignupMode.CLOSED,
            anonymous_sign_in=settings.anonymous_sign_in,
            limits=LockoutLimits(
                guesses_per_account=settings.password_guesses, requests_per_address=settings.sign_ups_per_address
            ),
            passwords=PasswordRules(shortest=settings.password_min_length),
            access_token_seconds=settings.access_token_seconds,
        ),
        open_mailer(settings),
        memory,
    )
    stack.push_async_callback(local.close)
    return local


def provision_by_mode(settings: Settings, database: Database) -> Callable[[UUID, str], Awaitable[None]]:
    """Supabase decides who may sign up there, so a closed server gives a project only to those who were invited.
    The built-in provider of a closed server has only the accounts that the operator added."""
    closed = settings.signup_mode is SignupMode.CLOSED and settings.supabase_url is not None
    shared = settings.signup_mode is SignupMode.SHARED
    return partial(provision_account, database, shared=shared, closed=closed)


def needs_confirmation(settings: Settings) -> bool:
    return settings.mail_confirm if settings.mail_confirm is not None else settings.smtp_host is not None


def open_mailer(settings: Settings) -> Mailer:
    if settings.smtp_host is None:
        return LogMailer(development=settings.development)
    password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
    return SmtpMailer(
        SmtpSettings(
            host=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username,
            password=password,
            sender=settings.smtp_from,
            security=settings.smtp_security,
        )
    )


def open_invitation_mail(settings: Settings, local: IdentityProvider | None) -> Callable[[str, UUID, str], None] | None:
    """Supabase sends no e-mails of ours, so the senders of invitations pass on the tokens."""
    if local is None or settings.smtp_host is None:
        return None
    links = InvitationLinks(site_url=local.settings.site_url, base_url=settings.base_url)
    return lambda address, invitation_id, token: local.outbox.put(links.mail(address, invitation_id, token))


def identity_http(identity_app: FastAPI | None) -> httpx.AsyncClient:
    """A connection pool for Supabase, or an in-process transport for the embedded provider."""
    if identity_app:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=identity_app), timeout=30)
    return httpx.AsyncClient(timeout=10, limits=httpx.Limits(max_connections=50))


def open_identity_client(
    settings: Settings, local: IdentityProvider | None, http: httpx.AsyncClient, secret: str
) -> GoTrueIdentity:
    if local:
        return GoTrueIdentity(IN_PROCESS_URL, http, publishable_key=secret, secret_key=secret)
    if settings.supabase_publishable_key is None:
        raise ConfigurationError(
            "SUPABASE_URL needs SUPABASE_PUBLISHABLE_KEY. Copy it from the project's API settings."
        )
    service = settings.supabase_secret_key
    return GoTrueIdentity(
        f"{settings.supabase_url}/auth/v1",
        http,
        publishable_key=settings.supabase_publishable_key.get_secret_value(),
        secret_key=service.get_secret_value() if service else None,
    )


def open_identity_health(
    settings: Settings, local: IdentityProvider | None, http: httpx.AsyncClient, secret: str
) -> IdentityHealth:
    key = settings.supabase_publishable_key
    if local or key is None:
        return IdentityHealth(IN_PROCESS_URL, http, secret)
    return IdentityHealth(f"{settings.supabase_url}/auth/v1", http, key.get_secret_value())


def token_issuers(settings: Settings, local: IdentityProvider | None, http: httpx.AsyncClient) -> list[Issuer]:
    """The issuers whose tokens are accepted. After a move to Supabase, older tokens are valid until they expire."""
    if local:
        return [local_issuer(local.keys, local.settings.issuer)]
    url = f"{settings.supabase_url}/auth/v1"
    names = [None if name == NO_ISSUER else name for name in settings.supabase_jwt_issuer or [url]]
    published = JwksCache(f"{url}/.well-known/jwks.json", http)
    resource = f"{settings.base_url.rstrip('/')}/mcp" if oauth_issuer(settings) else None
    issuers = [Issuer(name, published, resource=resource if name else None) for name in names]
    if settings.supabase_jwt_secret:
        shared = StaticKeys([hs256_key(settings.supabase_jwt_secret.get_secret_value())])
        issuers += [Issuer(name, shared, frozenset({"HS256"})) for name in names]
    return [*issuers, *former_issuers(settings)]


def oauth_issuer(settings: Settings) -> str:
    """The authorization server of /mcp, if it is not this server."""
    return f"{settings.supabase_url}/auth/v1" if settings.oauth_issuer == "supabase" else ""


def former_issuers(settings: Settings) -> list[Issuer]:
    if not settings.former_issuer:
        return []
    keys = load_or_create_keys(settings.data_dir / "identity")
    return [local_issuer(keys, settings.former_issuer)]


def hs256_key(secret: str) -> dict[str, object]:
    encoded = base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
    return {"kty": "oct", "alg": "HS256", "k": encoded}
