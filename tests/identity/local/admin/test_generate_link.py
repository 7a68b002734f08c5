import httpx
import pytest
from supabase_auth.errors import AuthApiError

from tests.identity.local.conftest import PASSWORD, Provider, create_account, new_email


@pytest.mark.parametrize("kind", ["signup", "invite", "magiclink", "recovery"])
async def test_link_is_returned_instead_of_sent(mailing: Provider, kind: str) -> None:
    email = new_email()
    if kind == "recovery":
        await create_account(mailing, email=email)
    made = await mailing.client().admin.generate_link(
        {"type": kind, "email": email, "password": PASSWORD, "options": {"redirect_to": "http://app.test/in"}}  # type: ignore[typeddict-item]
    )
    properties = made.properties
    assert properties.verification_type == ("signup" if kind == "magiclink" else kind)
    assert properties.redirect_to == "http://app.test/in"
    assert httpx.URL(properties.action_link).params["token"] == properties.hashed_token
    assert mailing.mailbox.mails == []
    answer = await mailing.client().verify_otp(
        {"email": email, "token": properties.email_otp, "type": properties.verification_type}  # type: ignore[typeddict-item]
    )
    assert answer.session is not None
    assert answer.session.user.email == email


async def test_links_for_an_email_change_confirm_it(mailing: Provider) -> None:
    user, new = await create_account(mailing), new_email()
    hashes = []
    for kind in ("email_change_current", "email_change_new"):
        made = await mailing.client().admin.generate_link({"type": kind, "email": user.email, "new_email": new})  # type: ignore[typeddict-item]
        hashes.append(made.properties.hashed_token)
    for token_hash in hashes:
        answer = await mailing.client().verify_otp({"token_hash": token_hash, "type": "email_change"})
    assert answer.session is not None
    assert answer.session.user.email == new


async def test_link_for_an_unknown_or_confirmed_account_is_refused(mailing: Provider) -> None:
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().admin.generate_link({"type": "recovery", "email": new_email()})
    assert (refused.value.status, refused.value.code) == (404, "user_not_found")
    user = await create_account(mailing)
    assert user.email is not None
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().admin.generate_link({"type": "signup", "email": user.email, "password": PASSWORD})
    assert (refused.value.status, refused.value.code) == (422, "email_exists")
