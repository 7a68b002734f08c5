import asyncio

import pytest
from supabase_auth.errors import AuthApiError

from app.identity.local.security.lockout import LockoutLimits
from tests.identity.local.conftest import PASSWORD, SECRET, MakeProvider, Provider, new_email, sign_in, sign_up


async def test_password_of_72_bytes_is_accepted(provider: Provider) -> None:
    email, password = new_email(), "é" * 36
    await sign_up(provider, email, password)
    assert (await sign_in(provider, email, password)).session is not None
    with pytest.raises(AuthApiError) as refused:
        await sign_in(provider, email, password + "x")
    assert refused.value.code == "invalid_credentials"


async def test_sign_in_answers_wrong_passwords_and_unknown_addresses_alike(provider: Provider) -> None:
    email = new_email()
    await sign_up(provider, email)
    answers = [
        await provider.http.post("/token?grant_type=password", json={"email": who, "password": word})
        for who, word in ((email, "wrong"), (new_email(), "wrong"), (email, "x" * 100), ("not an address", "\0"))
    ]
    assert {answer.status_code for answer in answers} == {400}
    assert len({answer.content for answer in answers}) == 1


async def test_sign_in_ignores_the_case_of_the_address(provider: Provider) -> None:
    email = new_email()
    await sign_up(provider, email)
    assert (await sign_in(provider, email.upper())).session is not None


async def test_sign_in_locks_out_after_wrong_guesses_and_resets_after_a_right_one(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(guesses_per_account=3, free_guesses=1_000))
    email = new_email()
    await sign_up(provider, email)
    for _ in range(2):
        with pytest.raises(AuthApiError, match="Invalid login"):
            await sign_in(provider, email, "wrong")
    await sign_in(provider, email)
    for _ in range(3):
        with pytest.raises(AuthApiError, match="Invalid login"):
            await sign_in(provider, email, "wrong")
    with pytest.raises(AuthApiError) as refused:
        await sign_in(provider, email)
    assert (refused.value.status, refused.value.code) == (429, "over_request_rate_limit")
    assert int(refused.value.__cause__.response.headers["Retry-After"]) > 800  # type: ignore[union-attr]


async def test_sign_in_counts_parallel_guesses(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(guesses_per_account=3, free_guesses=1_000))
    email = new_email()
    answers = await asyncio.gather(*(sign_in(provider, email, "wrong") for _ in range(8)), return_exceptions=True)
    codes = [str(answer.code) for answer in answers if isinstance(answer, AuthApiError)]
    assert sorted(codes) == ["invalid_credentials"] * 3 + ["over_request_rate_limit"] * 5


async def test_sign_in_locks_out_only_the_ip_address_that_guesses(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(guesses_per_address=3))
    email = new_email()
    await sign_up(provider, email)

    async def guess(address: str, who: str, password: str) -> int:
        headers = {"apikey": SECRET, "Sb-Forwarded-For": address}
        body = {"email": who, "password": password}
        return (await provider.http.post("/token?grant_type=password", json=body, headers=headers)).status_code

    assert [await guess("192.0.2.1", new_email(), "x") for _ in range(4)] == [400, 400, 400, 429]
    assert await guess("192.0.2.2", email, PASSWORD) == 200
    unproven = {"apikey": "sb_publishable_x", "Sb-Forwarded-For": "192.0.2.1"}
    answer = await provider.http.post(
        "/token?grant_type=password", json={"email": email, "password": "x"}, headers=unproven
    )
    assert answer.status_code == 400
