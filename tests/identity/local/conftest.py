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

from app.adapters.in_process import InProcessShortTerm
from app.core.database.database import Database
from app.identity.local.app import create_identity_app
from app.identity.local.mail.mailer import Mail
from app.identity.local.provider import IdentityProvider, open_provider
from app.identity.local.security.keys import SigningKeys, new_key
from app.identity.local.security.lockout import LockoutLimits
from app.identity.local.settings import IdentitySettings

ISSUER = "http://127.0.0.1:8000/auth/v1"
SECRET = "sb_secret_for_tests"
PASSWORD = "correct horse battery"
UNHURRIED = LockoutLimits(guesses_per_address=10_000, free_guesses=1_000, requests_per_address=10_000)


@dataclass
class Mailbox:
    """A mailer that keeps what it is given."""

    mails: list[Mail] = field(default_factory=list)

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)


@dataclass
class Provider:
    """A running provider, asked in process as the app asks it."""

    house: IdentityProvider
    http: httpx.AsyncClient
    mailbox: Mailbox

    def client(self, key: str = SECRET) -> AsyncGoTrueClient:
        """A client of one operation, as the app makes them: nobody's session is ever in another's client."""
        return AsyncGoTrueClient(
            url=ISSUER,
            headers={"apikey": key, "Authorization": f"Bearer {key}"},
            http_client=self.http,
            auto_refresh_token=False,
            persist_session=False,
            flow_type="implicit",
        )

    async def mail(self) -> Mail:
        await self.house.outbox.drain()
        return self.mailbox.mails[-1]

    async def link(self) -> httpx.URL:
        return httpx.URL((await self.mail()).link)

    async def token_hash(self) -> str:
        return (await self.link()).params["token"]

    async def code(self) -> str:
        return (await self.mail()).text.split("code: ")[1][:6]


MakeProvider = Callable[..., Awaitable[Provider]]


def build_provider(database: Database, **changes: object) -> Provider:
    values = {"issuer": ISSUER, "site_url": "http://app.test", "secret_key": SECRET, "mail_interval_seconds": 0}
    settings = IdentitySettings(**{**values, "limits": UNHURRIED, **changes})  # type: ignore[arg-type]
    mailbox = Mailbox()
    house = open_provider(database, SigningKeys((new_key(),)), settings, mailbox, InProcessShortTerm())
    transport = httpx.ASGITransport(app=create_identity_app(house), root_path="/auth/v1")
    return Provider(house, httpx.AsyncClient(transport=transport, base_url=ISSUER), mailbox)


async def close_provider(provider: Provider) -> None:
    await provider.http.aclose()
    await provider.house.close()


@asynccontextmanager
async def serving(provider: Provider) -> AsyncIterator[str]:
    """The provider where others find it: over HTTP on loopback, mounted as the app mounts it."""
    outer = FastAPI()
    outer.mount("/auth/v1", create_identity_app(provider.house))
    server = uvicorn.Server(uvicorn.Config(outer, lifespan="off", log_level="warning"))
    door = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(server.serve([door]))
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    server.should_exit = True
    await running


@pytest_asyncio.fixture
async def make_provider(database: Database) -> AsyncIterator[MakeProvider]:
    opened: list[Provider] = []

    async def make(**changes: object) -> Provider:
        opened.append(build_provider(database, **changes))
        return opened[-1]

    yield make
    for provider in opened:
        await close_provider(provider)


@pytest_asyncio.fixture
async def provider(make_provider: MakeProvider) -> Provider:
    """Without mail, as on a laptop."""
    return await make_provider()


@pytest_asyncio.fixture
async def mailing(make_provider: MakeProvider) -> Provider:
    """With mail, so addresses must be confirmed."""
    return await make_provider(autoconfirm=False)


def new_email() -> str:
    return f"{uuid.uuid4().hex}@example.com"
