"""Anonymous accounts, and how they become permanent."""

import pytest
from sqlalchemy import text
from supabase_auth.errors import AuthApiError
from supabase_auth.helpers import decode_jwt

from app.core.database.database import Database
from tests.identity.local.conftest import PASSWORD, MakeProvider, Provider, new_email, sign_in, sign_up


async def test_anonymous_sign_in_is_off_by_default(provider: Provider) -> None:
    with pytest.raises(AuthApiError) as refused:
        await provider.client().sign_in_anonymously()
    assert (refused.value.status, refused.value.code) == (422, "anonymous_provider_disabled")
    assert (await provider.http.get("/settings")).json()["external"]["anonymous_users"] is False


async def test_closed_sign_up_creates_no_anonymous_account(make_provider: MakeProvider) -> None:
    provider = await make_provider(anonymous_sign_in=True, signups_open=False)
    with pytest.raises(AuthApiError) as refused:
        await provider.client().sign_in_anonymously()
    assert refused.value.code == "signup_disabled"


async def test_anonymous_account_becomes_permanent_with_an_address_and_a_password(make_provider: MakeProvider) -> None:
    provider, email = await make_provider(anonymous_sign_in=True), new_email()
    client = provider.client()
    answer = await client.sign_in_anonymously({"options": {"data": {"theme": "dark"}}})
    assert answer.session is not None
    assert answer.user is not None
    assert (answer.user.is_anonymous, answer.user.email, answer.user.identities) == (True, "", [])
    claims = decode_jwt(answer.session.access_token)["payload"]
    assert (claims.get("is_anonymous"), claims["amr"][0]["method"]) == (True, "anonymous")
    with pytest.raises(AuthApiError) as refused:
        await client.update_user({"password": PASSWORD})
    assert refused.value.code == "validation_failed"

    linked = (await client.update_user({"email": email, "password": PASSWORD})).user
    assert (linked.id, linked.is_anonymous, linked.email) == (answer.user.id, False, email)
    assert [identity.provider for identity in linked.identities or []] == ["email"]
    assert linked.app_metadata == {"provider": "email", "providers": ["email"]}
    refreshed = (await client.refresh_session()).session
    assert refreshed is not None
    assert decode_jwt(refreshed.access_token)["payload"].get("is_anonymous") is False
    again = await sign_in(provider, email)
    assert again.user is not None
    assert (again.user.id, again.user.user_metadata) == (answer.user.id, {"theme": "dark"})


async def test_address_of_an_anonymous_account_is_confirmed_first(make_provider: MakeProvider) -> None:
    """Only the new address can confirm: there is no old one."""
    provider, email = await make_provider(anonymous_sign_in=True, autoconfirm=False), new_email()
    client = provider.client()
    await client.sign_in_anonymously()
    waiting = (await client.update_user({"email": email, "password": PASSWORD})).user
    assert (waiting.is_anonymous, waiting.new_email) == (True, email)
    mail = await provider.mail()
    assert (mail.to, len(provider.mailbox.mails)) == (email, 1)
    confirmed = await client.verify_otp({"token_hash": await provider.token_hash(), "type": "email_change"})
    assert confirmed.user is not None
    assert (confirmed.user.is_anonymous, confirmed.user.email) == (False, email)
    assert (await sign_in(provider, email)).session is not None


async def test_anonymous_account_cannot_take_an_address(make_provider: MakeProvider) -> None:
    provider, email = await make_provider(anonymous_sign_in=True), new_email()
    await sign_up(provider, email)
    client = provider.client()
    await client.sign_in_anonymously()
    with pytest.raises(AuthApiError) as refused:
        await client.update_user({"email": email, "password": PASSWORD})
    assert refused.value.code == "email_exists"


async def test_row_of_an_anonymous_account_is_the_one_of_gotrue(
    make_provider: MakeProvider, database: Database
) -> None:
    provider = await make_provider(anonymous_sign_in=True)
    answer = await provider.client().sign_in_anonymously()
    assert answer.user is not None
    columns = "email, encrypted_password, raw_app_meta_data, is_anonymous, email_confirmed_at"
    async with database.system() as tx:
        query = text(f"select {columns} from auth.users where id = :id")
        row = (await tx.execute(query, {"id": answer.user.id})).one()
    assert tuple(row) == (None, "", {}, True, None)
