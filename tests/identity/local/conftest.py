import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest_asyncio
import uvicorn
from fastapi import FastAPI
from supabase_auth import AsyncGoTrueClient
from supabase_auth.types import AuthResponse, Session, User

from app.adapters.in_process import InProcessShortTerm
from app.core.database.database import Database
from app.identity.local.app import create_identity_app
from app.identity.local.mail.mailer import Mail
from app.identity.local.provider import IdentityProvider, open_provider
from app.identity.local.security.keys import SigningKeys, new_key
from app.identity.local.security.lockout import LockoutLimits
from app.identity.local.settings import IdentitySettings
from tests.conftest import with_quick_passwords

ISSUER = "http://127.0.0.1:8000/auth/v1"
SECRET = "sb_secret_for_tests"
PASSWORD = "correct horse battery"
NO_LIMITS = LockoutLimits(guesses_per_address=10_000, free_guesses=1_000, requests_per_address=10_000)


@dataclass
class Mailbox:
    """A mailer that keeps its e-mails."""

    mails: list[Mail] = field(default_factory=list)
    can_send: bool = True

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)


@dataclass
class Provider:
    """A running identity provider, called in process as the app calls it."""

    identity: IdentityProvider
    http: httpx.AsyncClient
    mailbox: Mailbox

    def client(self, key: str = SECRET) -> AsyncGoTrueClient:
        """A client for one operation, as in the app, so that clients never share a session."""
        return AsyncGoTrueClient(
            url=ISSUER,
            headers={"apikey": key, "Authorization": f"Bearer {key}"},
            http_client=self.http,
            auto_refresh_token=False,
            persist_session=False,
            flow_type="implicit",
        )

    async def mail(self) -> Mail:
        await self.identity.outbox.drain()
        return self.mailbox.mails[-1]

    async def link(self) -> httpx.URL:
        return httpx.URL((await self.mail()).link)

    async def token_hash(self) -> str:
        return (await self.link()).params["token"]

    async def code(self) -> str:
        return (await self.mail()).text.split("code: ")[1][:6]


MakeProvider = Callable[..., Awaitable[Provider]]


def build_provider(database: Database, *, quick: bool = True, **changes: object) -> Provider:
    values = {"issuer": ISSUER, "site_url": "http://app.test", "secret_key": SECRET, "mail_interval_seconds": 0}
    settings = IdentitySettings(**{**values, "limits": NO_LIMITS, **changes})  # type: ignore[arg-type]
    mailbox = Mailbox()
    identity = open_provider(database, SigningKeys((new_key(),)), settings, mailbox, InProcessShortTerm())
    identity = with_quick_passwords(identity) if quick else identity
    transport = httpx.ASGITransport(app=create_identity_app(identity), root_path="/auth/v1")
    return Provider(identity, httpx.AsyncClient(transport=transport, base_url=ISSUER), mailbox)


async def close_provider(provider: Provider) -> None:
    await provider.http.aclose()
    await provider.identity.close()


@asynccontextmanager
async def serving(provider: Provider) -> AsyncIterator[str]:
    """Serve the provider over HTTP on loopback, mounted as the app mounts it."""
    outer = FastAPI()
    outer.mount("/auth/v1", create_identity_app(provider.identity))
    server = uvicorn.Server(uvicorn.Config(outer, lifespan="off", log_level="warning"))
    listener = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(server.serve([listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await running


@pytest_asyncio.fixture
async def make_provider(database: Database) -> AsyncIterator[MakeProvider]:
    opened: list[Provider] = []

    async def make(*, quick: bool = True, **changes: object) -> Provider:
        opened.append(build_provider(database, quick=quick, **changes))
        return opened[-1]

    yield make
    for provider in opened:
        await close_provider(provider)


@pytest_asyncio.fixture
async def provider(make_provider: MakeProvider) -> Provider:
    """A provider without e-mail, as on a laptop."""
    return await make_provider()


@pytest_asyncio.fixture
async def mailing(make_provider: MakeProvider) -> Provider:
    """A provider with e-mail, so that addresses must be confirmed."""
    return await make_provider(autoconfirm=False)


def new_email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


async def sign_up(provider: Provider, email: str | None = None, password: str = PASSWORD) -> AuthResponse:
    return await provider.client().sign_up({"email": email or new_email(), "password": password})


async def sign_in(provider: Provider, email: str, password: str = PASSWORD) -> AuthResponse:
    return await provider.client().sign_in_with_password({"email": email, "password": password})


async def open_session(provider: Provider, email: str | None = None) -> Session:
    answer = await sign_up(provider, email)
    assert answer.session is not None
    return answer.session


async def sign_up_unconfirmed(provider: Provider, email: str) -> None:
    answer = await sign_up(provider, email)
    assert answer.session is None


async def sign_up_confirmed(provider: Provider, email: str) -> Session:
    await sign_up_unconfirmed(provider, email)
    answer = await provider.client().verify_otp({"token_hash": await provider.token_hash(), "type": "signup"})
    assert answer.session is not None
    return answer.session


async def create_account(provider: Provider, **attributes: object) -> User:
    """With the secret key, as an administrator does."""
    values = {"email": new_email(), "password": PASSWORD, "email_confirm": True, **attributes}
    return (await provider.client().admin.create_user(values)).user  # type: ignore[arg-type]


async def sign_in_as(provider: Provider, user: User, password: str = PASSWORD) -> str:
    assert user.email is not None
    answer = await sign_in(provider, user.email, password)
    assert answer.session is not None
    return answer.session.access_token
