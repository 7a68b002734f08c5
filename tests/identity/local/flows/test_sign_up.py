import asyncio

import pytest
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from app.identity.local.security.lockout import LockoutLimits
from app.identity.local.security.passwords import PasswordRules
from tests.identity.local.conftest import PASSWORD, MakeProvider, Provider, new_email, sign_up


async def test_sign_up_signs_in(provider: Provider) -> None:
    email = new_email()
    answer = await provider.client().sign_up(
        {"email": email.upper(), "password": PASSWORD, "options": {"data": {"name": "Ada"}}}
    )
    assert answer.session is not None
    assert answer.user is not None
    assert answer.user.email == email
    assert answer.user.user_metadata == {"name": "Ada"}
    assert answer.user.app_metadata == {"provider": "email", "providers": ["email"]}
    assert answer.user.identities is not None
    assert answer.user.identities[0].id == answer.user.id
    assert answer.user.last_sign_in_at is not None


async def test_sign_up_refuses_a_taken_address(provider: Provider) -> None:
    email = new_email()
    await sign_up(provider, email)
    with pytest.raises(AuthApiError) as refused:
        await sign_up(provider, email)
    assert (refused.value.status, refused.value.code) == (422, "user_already_exists")


async def test_concurrent_sign_ups_create_one_account(provider: Provider) -> None:
    email = new_email()
    answers = await asyncio.gather(*(sign_up(provider, email) for _ in range(5)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, AuthApiError)]
    assert len(refused) == 4
    assert {error.code for error in refused} == {"user_already_exists"}


@pytest.mark.parametrize(
    ("email", "password", "code"),
    [
        ("nobody", PASSWORD, "validation_failed"),
        ("a b@example.com", PASSWORD, "validation_failed"),
        ("a@example.com\nBcc: b@example.com", PASSWORD, "validation_failed"),
        ("ok@example.com", "é" * 37, "validation_failed"),
        ("ok@example.com", "x" * 73, "validation_failed"),
        ("ok@example.com", "nul\0inside", "validation_failed"),
    ],
)
async def test_sign_up_refuses_invalid_addresses_and_passwords(
    provider: Provider, email: str, password: str, code: str
) -> None:
    with pytest.raises(AuthApiError) as refused:
        await sign_up(provider, email, password)
    assert (refused.value.status, refused.value.code) == (400, code)


async def test_sign_up_refuses_weak_passwords_with_reasons(make_provider: MakeProvider) -> None:
    provider = await make_provider(passwords=PasswordRules(shortest=10, required=("lower", "digits")))
    with pytest.raises(AuthWeakPasswordError) as refused:
        await sign_up(provider, password="SHORT")
    assert refused.value.status == 422
    assert refused.value.reasons == ["length", "characters"]
    with pytest.raises(AuthWeakPasswordError) as refused:
        await sign_up(provider, password="long enough yet without")
    assert refused.value.reasons == ["characters"]


async def test_sign_up_refuses_closed_sign_ups_phones_and_anonymous_accounts(
    make_provider: MakeProvider,
) -> None:
    closed = await make_provider(signups_open=False)
    with pytest.raises(AuthApiError) as refused:
        await sign_up(closed)
    assert (refused.value.status, refused.value.code) == (422, "signup_disabled")
    provider = await make_provider()
    with pytest.raises(AuthApiError) as refused:
        await provider.client().sign_up({"phone": "+4912345", "password": PASSWORD})
    assert refused.value.code == "phone_provider_disabled"
    with pytest.raises(AuthApiError) as refused:
        await provider.client().sign_in_anonymously()
    assert (refused.value.status, refused.value.code) == (422, "anonymous_provider_disabled")
    for path, body in (("/token?grant_type=pkce", {}), ("/signup", {"email": new_email()})):
        assert (await provider.http.post(path, json=body)).status_code == 400


async def test_sign_ups_are_limited_per_ip_address(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(requests_per_address=2))
    for _ in range(2):
        await sign_up(provider)
    with pytest.raises(AuthApiError) as refused:
        await sign_up(provider)
    assert (refused.value.status, refused.value.code) == (429, "over_request_rate_limit")
