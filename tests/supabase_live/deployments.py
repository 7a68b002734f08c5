"""Keepsake with accounts at a live provider, as a client meets it."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from supabase_auth import AsyncGoTrueClient

from app.adapters.accounts.supabase import GoTrueIdentity
from app.adapters.in_process import InProcessShortTerm
from app.core.resources import Resources
from app.identity.local.app import create_identity_app
from app.identity.local.mail.mailer import Outbox, SmtpMailer, SmtpSettings
from app.identity.local.provider import local_issuer, open_provider
from app.identity.local.security.keys import SigningKeys, new_key
from app.identity.local.settings import IdentitySettings
from app.identity.tokens import Jwk, Verifier
from app.main import create_app
from app.settings import Settings
from app.wiring import open_resources
from tests.conftest import open_client
from tests.identity.local.conftest import NO_LIMITS
from tests.loopback import serve_on_loopback
from tests.supabase_live import gotrue
from tests.supabase_live.providers import LiveProvider
from tests.supabase_live.smtp import ReceivedMails, open_mail_server
from tests.supabase_project import open_supabase_project


@dataclass(frozen=True)
class Deployment:
    provider: LiveProvider
    resources: Resources
    app: FastAPI
    http: httpx.AsyncClient
    mails: ReceivedMails
    operator_url: str
    """The database as its owner, for what an operator does with SQL."""
    issuer: str
    keys: Sequence[Jwk]
    """The private signing keys of the provider. Empty with a shared secret."""
    start_again: Callable[[Sequence[Jwk]], Awaitable[None]]
    """Start the provider again with these keys, of which the first one signs."""
    drain: Callable[[], Awaitable[object]] = field(default=lambda: _nothing())

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        return open_client(self.app, token)

    def supabase(self, *, secret: bool = False) -> AsyncGoTrueClient:
        """supabase-py's client of accounts."""
        key = self.provider.secret_key if secret else self.provider.publishable_key
        return AsyncGoTrueClient(
            url=f"{self.provider.url}/auth/v1",
            headers={"apikey": key, "Authorization": f"Bearer {key}"},
            http_client=self.http,
            auto_refresh_token=False,
            persist_session=False,
            flow_type="implicit",
        )

    async def token_hash(self, recipient: str | None = None) -> str:
        await self.drain()
        return self.mails.token_hash(recipient)

    async def operate(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        engine = create_async_engine(self.operator_url)
        async with engine.begin() as tx:
            result = await tx.execute(text(statement), values)
            rows = [tuple(row) for row in result] if result.returns_rows else []
        await engine.dispose()
        return rows


async def _nothing() -> None:
    """GoTrue sends an e-mail before it responds."""


@asynccontextmanager
async def deploy_local(resources: Resources, operator_url: str, *, confirms: bool) -> AsyncIterator[Deployment]:
    """The built-in provider behind the same gateway and with the same mail server as GoTrue."""
    async with AsyncExitStack() as stack:
        mails = await stack.enter_async_context(open_mail_server())
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        smtp = SmtpSettings("127.0.0.1", mails.port, None, None, "keepsake@app.test", "none")
        issuer, keys = "http://local.test/auth/v1", SigningKeys((new_key(),))
        settings = IdentitySettings(
            issuer=issuer,
            site_url="http://app.test",
            secret_key=gotrue.SECRET,
            autoconfirm=not confirms,
            anonymous_sign_in=confirms,
            limits=NO_LIMITS,
            mail_interval_seconds=0,
        )
        upstream = gotrue.Upstream("", {})
        outboxes: list[Outbox] = []

        async def start(wanted: Sequence[Jwk]) -> None:
            opened = open_provider(
                resources.database, SigningKeys(tuple(wanted)), settings, SmtpMailer(smtp), InProcessShortTerm()
            )
            stack.push_async_callback(opened.close)
            outboxes.append(opened.outbox)
            upstream.url = await stack.enter_async_context(serve_on_loopback(create_identity_app(opened)))

        async def drain() -> None:
            await outboxes[-1].drain()

        await start(keys.keys)
        url = await stack.enter_async_context(gotrue.run_gateway(upstream, http))
        live = LiveProvider("local", url, gotrue.PUBLISHABLE, gotrue.SECRET)
        identity = GoTrueIdentity(
            f"{url}/auth/v1", http, publishable_key=live.publishable_key, secret_key=live.secret_key
        )
        own = replace(resources, identity=identity, tokens=Verifier([local_issuer(keys, issuer)]))
        yield Deployment(live, own, create_app(own), http, mails, operator_url, issuer, keys.keys, start, drain)


@asynccontextmanager
async def deploy_gotrue(
    binary: gotrue.GoTrueBinary, folder: Path, *, asymmetric: bool, confirms: bool
) -> AsyncIterator[Deployment]:
    """GoTrue with its own migrations on a Postgres that is set up as Supabase does, and Keepsake with SUPABASE_URL."""
    async with AsyncExitStack() as stack:
        mails = await stack.enter_async_context(open_mail_server())
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        issuer = "http://gotrue.test/auth/v1"
        keys = (new_key(),) if asymmetric else ()

        def configure(url: str) -> gotrue.GoTrueSettings:
            address = url.replace("postgresql+psycopg://", "postgres://").replace("postgresql://", "postgres://")
            return gotrue.GoTrueSettings(address, issuer, asymmetric, confirms, mails.port, keys)

        project = await stack.enter_async_context(
            open_supabase_project(folder, create_auth=lambda url: gotrue.migrate_gotrue(binary, configure(url)))
        )
        settings = configure(project.replace("//postgres@", "//supabase_auth_admin@"))
        upstream = gotrue.Upstream("", {})

        async def start(wanted: Sequence[Jwk]) -> None:
            changed = replace(settings, keys=gotrue.with_one_signing_key(wanted))
            upstream.roles = gotrue.role_tokens(changed)
            upstream.url = await stack.enter_async_context(gotrue.run_gotrue(binary, changed))

        await start(keys)
        url = await stack.enter_async_context(gotrue.run_gateway(upstream, http))
        resources = await stack.enter_async_context(
            open_resources(
                Settings(
                    _env_file=None,
                    data_dir=folder / "keepsake",
                    database_url=project,
                    supabase_url=url,
                    supabase_publishable_key=gotrue.PUBLISHABLE,
                    supabase_secret_key=gotrue.SECRET,
                    supabase_jwt_issuer=issuer,
                    supabase_jwt_secret=None if asymmetric else gotrue.JWT_SECRET,
                )
            )
        )
        kind = "asymmetric keys" if asymmetric else "HS256"
        live = LiveProvider(f"GoTrue, {kind}", url, gotrue.PUBLISHABLE, gotrue.SECRET)
        superuser = project.replace("//postgres@", "//supabase_admin@")
        yield Deployment(live, resources, create_app(resources), http, mails, superuser, issuer, keys, start)
    shutil.rmtree(folder, ignore_errors=True)
