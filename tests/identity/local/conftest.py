import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import pytest_asyncio
from supabase_auth import AsyncGoTrueClient

from app.adapters.in_process import InProcessShortTerm
from app.core.database import Database
from app.identity.local.house import LocalIdentity, open_identity
from app.identity.local.keys import SigningKeys, new_key
from app.identity.local.lockout import Limits
from app.identity.local.mail import Mail
from app.identity.local.server import create_identity_app
from app.identity.local.settings import IdentitySettings

ISSUER = "http://127.0.0.1:8000/auth/v1"
SECRET = "sb_secret_for_tests"
PASSWORD = "correct horse battery"
UNHURRIED = Limits(guesses_per_address=10_000, free_guesses=1_000, requests_per_address=10_000)


@dataclass
class Mailbox:
    """A mailer that keeps what it is given."""

    mails: list[Mail] = field(default_factory=list)

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)


@dataclass
class Provider:
    """A running provider, asked in process as the app asks it."""

    house: LocalIdentity
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


@pytest_asyncio.fixture
async def make_provider(database: Database) -> AsyncIterator[MakeProvider]:
    opened: list[Provider] = []

    async def make(**changes: object) -> Provider:
        values = {"issuer": ISSUER, "site_url": "http://app.test", "secret_key": SECRET, "mail_interval_seconds": 0}
        values |= {"limits": UNHURRIED, **changes}
        settings = IdentitySettings(**values)  # type: ignore[arg-type]
        mailbox = Mailbox()
        keys = SigningKeys((new_key(),))
        house = open_identity(database, keys, settings, mailbox, InProcessShortTerm())
        transport = httpx.ASGITransport(app=create_identity_app(house), root_path="/auth/v1")
        opened.append(Provider(house, httpx.AsyncClient(transport=transport, base_url=ISSUER), mailbox))
        return opened[-1]

    yield make
    for provider in opened:
        await provider.http.aclose()
        await provider.house.close()


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
