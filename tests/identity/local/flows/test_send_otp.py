import pytest
from supabase_auth.errors import AuthApiError

from tests.identity.local.conftest import (
    PASSWORD,
    MakeProvider,
    Provider,
    new_email,
    sign_in,
    sign_up_confirmed,
    sign_up_unconfirmed,
)


async def test_known_address_signs_in_with_the_link_or_the_code(mailing: Provider) -> None:
    email = new_email()
    await sign_up_confirmed(mailing, email)
    client = mailing.client()
    await client.sign_in_with_otp({"email": email})
    assert "Sign in" in (await mailing.mail()).subject
    answer = await client.verify_otp({"token_hash": await mailing.token_hash(), "type": "magiclink"})
    assert answer.session is not None
    await client.sign_in_with_otp({"email": email})
    answer = await client.verify_otp({"email": email, "token": await mailing.code(), "type": "email"})
    assert answer.session is not None


async def test_new_address_is_signed_up_and_confirmed_by_its_link(mailing: Provider) -> None:
    email = new_email()
    client = mailing.client()
    await client.sign_in_with_otp({"email": email, "options": {"data": {"name": "Ada"}}})
    answer = await client.verify_otp({"token_hash": await mailing.token_hash(), "type": "email"})
    assert answer.user is not None
    assert (answer.user.email, answer.user.user_metadata["name"]) == (email, "Ada")


async def test_unknown_address_gets_nothing_where_no_account_may_be_created(make_provider: MakeProvider) -> None:
    closed = await make_provider(autoconfirm=False, signups_open=False)
    await closed.client().sign_in_with_otp({"email": new_email()})
    open_provider = await make_provider(autoconfirm=False)
    await open_provider.client().sign_in_with_otp({"email": new_email(), "options": {"should_create_user": False}})
    for provider in (closed, open_provider):
        await provider.identity.outbox.drain()
        assert provider.mailbox.mails == []


async def test_password_chosen_before_the_confirmation_does_not_outlive_it(mailing: Provider) -> None:
    """Otherwise, a stranger could sign an address up with a password, and wait until its owner confirms it."""
    email = new_email()
    await sign_up_unconfirmed(mailing, email)
    client = mailing.client()
    await client.sign_in_with_otp({"email": email})
    await client.verify_otp({"token_hash": await mailing.token_hash(), "type": "email"})
    with pytest.raises(AuthApiError) as refused:
        await sign_in(mailing, email, PASSWORD)
    assert refused.value.code == "invalid_credentials"


async def test_phone_and_missing_mail_server_answer_with_their_own_codes(make_provider: MakeProvider) -> None:
    provider = await make_provider()
    refused = await provider.http.post("/otp", json={"phone": "+491701234567"})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "phone_provider_disabled")
    provider.mailbox.can_send = False
    refused = await provider.http.post("/otp", json={"email": new_email()})
    assert (refused.status_code, refused.json()["error_code"]) == (422, "otp_disabled")
