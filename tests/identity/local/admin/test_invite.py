import pytest
from supabase_auth.errors import AuthApiError

from tests.identity.local.conftest import (
    PASSWORD,
    MakeProvider,
    Provider,
    create_account,
    new_email,
    open_session,
    sign_in,
    sign_up_unconfirmed,
)


async def test_invited_person_follows_the_link_and_chooses_a_password(make_provider: MakeProvider) -> None:
    """Also where sign-up is closed."""
    provider, email = await make_provider(autoconfirm=False, signups_open=False), new_email()
    options = {"data": {"name": "Ada"}, "redirect_to": "http://app.test/welcome"}
    invited = (await provider.client().admin.invite_user_by_email(email, options)).user  # type: ignore[arg-type]
    assert (invited.email, invited.user_metadata, invited.email_confirmed_at) == (email, {"name": "Ada"}, None)
    assert invited.invited_at is not None
    mail, link = await provider.mail(), await provider.link()
    assert (mail.to, mail.subject) == (email, "You are invited")
    assert (link.params["type"], link.params["redirect_to"]) == ("invite", "http://app.test/welcome")
    client = provider.client()
    await client.verify_otp({"token_hash": await provider.token_hash(), "type": "invite"})
    await client.update_user({"password": PASSWORD})
    assert (await sign_in(provider, email)).session is not None


async def test_invitation_does_not_keep_the_password_of_a_stranger(mailing: Provider) -> None:
    email = new_email()
    await sign_up_unconfirmed(mailing, email)
    await mailing.client().admin.invite_user_by_email(email)
    await mailing.client().verify_otp({"token_hash": await mailing.token_hash(), "type": "invite"})
    with pytest.raises(AuthApiError) as refused:
        await sign_in(mailing, email)
    assert refused.value.code == "invalid_credentials"


async def test_account_cannot_be_invited(mailing: Provider) -> None:
    user = await create_account(mailing)
    assert user.email is not None
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().admin.invite_user_by_email(user.email)
    assert (refused.value.status, refused.value.code) == (422, "email_exists")


async def test_invitation_needs_the_secret_key(provider: Provider) -> None:
    session = await open_session(provider)
    headers = {"Authorization": f"Bearer {session.access_token}"}
    answer = await provider.http.post("/invite", json={"email": new_email()}, headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "not_admin")


async def test_invitation_needs_a_mail_server(make_provider: MakeProvider) -> None:
    provider = await make_provider()
    provider.mailbox.can_send = False
    with pytest.raises(AuthApiError) as refused:
        await provider.client().admin.invite_user_by_email(new_email())
    assert (refused.value.status, refused.value.code) == (422, "email_provider_disabled")
