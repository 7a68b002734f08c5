"""How long a request for an e-mail takes says nothing about who has an account."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.embedded_postgres import EmbeddedPostgres
from tests.identity.local.conftest import Provider, new_email, sign_up_unconfirmed
from tests.patience import PATIENCE_SECONDS


@asynccontextmanager
async def locked_accounts(postgres: EmbeddedPostgres) -> AsyncIterator[None]:
    """Whatever looks at accounts or issues a token waits until the end."""
    engine = create_async_engine(postgres.url("postgres"))
    async with engine.begin() as connection:
        await connection.execute(text("lock table auth.users, auth.one_time_tokens in access exclusive mode"))
        yield
    await engine.dispose()


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(("path", "more"), [("/recover", {}), ("/resend", {"type": "signup"})])
async def test_response_does_not_wait_for_the_account(
    path: str, more: dict[str, str], known: bool, mailing: Provider, postgres: EmbeddedPostgres
) -> None:
    email = new_email()
    if known:
        await sign_up_unconfirmed(mailing, email)
    await mailing.identity.outbox.drain()
    count = len(mailing.mailbox.mails)
    async with locked_accounts(postgres), asyncio.timeout(PATIENCE_SECONDS):
        response = await mailing.http.post(path, json={"email": email, **more})
    assert (response.status_code, response.json()) == (200, {})
    await mailing.identity.outbox.drain()
    assert len(mailing.mailbox.mails) == count + known
