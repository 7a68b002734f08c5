from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from supabase_auth.errors import AuthApiError

from app.core.database.database import Database
from tests.identity.local.conftest import (
    PASSWORD,
    MakeProvider,
    Provider,
    create_account,
    new_email,
    sign_in_as,
    sign_up_unconfirmed,
)


async def test_recovery_signs_in_and_allows_a_new_password(provider: Provider) -> None:
    email = new_email()
    await provider.client().sign_up({"email": email, "password": PASSWORD})
    await provider.client().reset_password_for_email(email, {"redirect_to": "http://app.test/new"})
    assert (await provider.link()).params["redirect_to"] == "http://app.test/new"
    client = provider.client()
    answer = await client.verify_otp({"token_hash": await provider.token_hash(), "type": "recovery"})
    assert answer.session is not None
    await client.update_user({"password": "another fine password"})
    await provider.client().sign_in_with_password({"email": email, "password": "another fine password"})


async def test_recovery_of_an_unknown_address_sends_nothing(provider: Provider) -> None:
    await provider.client().reset_password_for_email(new_email())
    await provider.identity.outbox.drain()
    assert provider.mailbox.mails == []


async def test_emails_are_limited_alike_for_known_and_unknown_addresses(make_provider: MakeProvider) -> None:
    provider = await make_provider(mail_interval_seconds=60)
    known = new_email()
    await provider.client().sign_up({"email": known, "password": PASSWORD})
    for email in (known, new_email()):
        await provider.client().reset_password_for_email(email)
        with pytest.raises(AuthApiError, match="only request this after") as refused:
            await provider.client().reset_password_for_email(email)
        assert (refused.value.status, refused.value.code) == (429, "over_email_send_rate_limit")


async def test_confirmation_can_be_resent_until_it_is_used(mailing: Provider) -> None:
    email = new_email()
    await sign_up_unconfirmed(mailing, email)
    await mailing.client().resend({"type": "signup", "email": email})
    await mailing.client().verify_otp({"token_hash": await mailing.token_hash(), "type": "signup"})
    assert len(mailing.mailbox.mails) == 2
    await mailing.client().resend({"type": "signup", "email": email})
    await mailing.client().resend({"type": "signup", "email": new_email()})
    await mailing.identity.outbox.drain()
    assert len(mailing.mailbox.mails) == 2
    refused = await mailing.http.post("/resend", json={"type": "recovery", "email": email})
    assert refused.status_code == 400


async def test_nothing_is_issued_where_no_mail_can_be_sent(make_provider: MakeProvider, database: Database) -> None:
    provider = await make_provider(autoconfirm=False)
    user = await create_account(provider)
    token = await sign_in_as(provider, user)
    provider.mailbox.can_send = False
    await sign_up_unconfirmed(provider, unconfirmed := new_email())
    await provider.client().reset_password_for_email(str(user.email))
    await provider.client().resend({"type": "signup", "email": unconfirmed})
    headers = {"Authorization": f"Bearer {token}"}
    assert (await provider.http.get("/reauthenticate", headers=headers)).status_code == 200
    assert (await provider.http.put("/user", json={"email": new_email()}, headers=headers)).status_code == 200
    await provider.identity.outbox.drain()
    assert provider.mailbox.mails == []
    issued = text("select count(*) from auth.one_time_tokens where relates_to = any(:addresses) or user_id = :account")
    async with database.system() as tx:
        values = {"addresses": [unconfirmed, user.email], "account": user.id}
        assert await tx.scalar(issued, values) == 0


@pytest_asyncio.fixture
async def failing_commit(admin_engine: AsyncEngine) -> AsyncIterator[str]:
    """The domain of addresses for which the commit of every new token fails."""
    domain = f"{new_email().partition('@')[0]}.test"
    raises = "create function auth.fail() returns trigger language plpgsql as $$ begin raise 'commit fails'; end $$"
    trigger = (
        "create constraint trigger fails after insert on auth.one_time_tokens deferrable initially deferred"
        f" for each row when (new.relates_to like '%@{domain}') execute function auth.fail()"
    )
    async with admin_engine.begin() as connection:
        await connection.execute(text(raises))
        await connection.execute(text(trigger))
    yield domain
    async with admin_engine.begin() as connection:
        await connection.execute(text("drop function auth.fail cascade"))


async def test_commit_that_fails_sends_no_mail(mailing: Provider, failing_commit: str) -> None:
    confirmed, unconfirmed = f"confirmed@{failing_commit}", f"unconfirmed@{failing_commit}"
    await create_account(mailing, email=confirmed)
    await create_account(mailing, email=unconfirmed, email_confirm=False)
    sends = [
        ("/recover", {"email": confirmed}),
        ("/otp", {"email": confirmed}),
        ("/resend", {"email": unconfirmed, "type": "signup"}),
        ("/signup", {"email": f"new@{failing_commit}", "password": PASSWORD}),
    ]
    with capture_logs() as logs:
        answers = [(await mailing.http.post(path, json=body)).status_code for path, body in sends]
        await mailing.identity.outbox.drain()
    assert answers == [200, 200, 200, 500]
    assert len([entry for entry in logs if entry["event"] == "identity.mail_failed"]) == 3
    assert mailing.mailbox.mails == []
