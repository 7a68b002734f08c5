import asyncio

import httpx
import pytest
from sqlalchemy import text
from supabase_auth.errors import AuthApiError

from app.core.database.database import Database
from app.identity.local.security.lockout import LockoutLimits
from app.identity.local.storage.sign_in_history import unlock_account
from tests.identity.local.conftest import (
    PASSWORD,
    SECRET,
    MakeProvider,
    Provider,
    create_account,
    new_email,
    open_session,
    sign_in,
    sign_in_as,
    sign_up,
)


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


async def sign_in_from(provider: Provider, address: str, email: str, password: str = PASSWORD) -> httpx.Response:
    headers = {"apikey": SECRET, "Sb-Forwarded-For": address}
    body = {"email": email, "password": password}
    return await provider.http.post("/token?grant_type=password", json=body, headers=headers)


async def test_strangers_with_many_addresses_do_not_lock_the_owner_out(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(guesses_per_account=3, free_guesses=1_000))
    email = new_email()
    await sign_up(provider, email)
    assert (await sign_in_from(provider, "192.0.2.1", email)).status_code == 200
    guesses = [await sign_in_from(provider, f"198.51.100.{number}", email, "wrong") for number in range(6)]
    assert [guess.status_code for guess in guesses] == [400, 400, 400, 429, 429, 429]
    assert (await sign_in_from(provider, "192.0.2.1", email)).status_code == 200
    refused = await sign_in_from(provider, "192.0.2.9", email)
    assert refused.status_code == 429
    await asyncio.sleep(int(refused.headers["Retry-After"]))
    assert (await sign_in_from(provider, "192.0.2.9", email)).status_code == 200


async def test_lockout_answers_unknown_addresses_alike(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(guesses_per_account=3, free_guesses=1_000))
    known, unknown = new_email(), new_email()
    await sign_up(provider, known)
    answers = {
        email: [(await sign_in_from(provider, f"198.51.100.{number}", email, "wrong")).content for number in range(6)]
        for email in (known, unknown)
    }
    assert answers[known] == answers[unknown]


async def test_operator_unlocks_an_account_in_a_running_provider(
    make_provider: MakeProvider, database: Database
) -> None:
    provider = await make_provider(limits=LockoutLimits(guesses_per_account=3, free_guesses=1_000))
    email = new_email()
    await sign_up(provider, email)
    for _ in range(3):
        await sign_in_from(provider, "192.0.2.1", email, "wrong")
    assert (await sign_in_from(provider, "192.0.2.1", email)).status_code == 429
    async with database.system() as tx:
        assert await unlock_account(tx, email)
        assert not await unlock_account(tx, new_email())
    assert (await sign_in_from(provider, "192.0.2.1", email)).status_code == 200


async def test_deleted_account_leaves_no_network(provider: Provider, database: Database) -> None:
    softly, wholly = await create_account(provider), await create_account(provider)
    for user in (softly, wholly):
        await sign_in_as(provider, user)
    count = text("select count(*) from private.sign_in_networks where account_id in (:softly, :wholly)")
    values = {"softly": softly.id, "wholly": wholly.id}
    async with database.system() as tx:
        assert await tx.scalar(count, values) == 2
    await provider.client().admin.delete_user(softly.id, should_soft_delete=True)
    await provider.client().admin.delete_user(wholly.id)
    async with database.system() as tx:
        assert await tx.scalar(count, values) == 0


async def test_refreshes_of_one_account_are_limited(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(refreshes_per_account=3))
    session, other = await open_session(provider), await open_session(provider)

    async def refresh(token: str) -> httpx.Response:
        return await provider.http.post("/token?grant_type=refresh_token", json={"refresh_token": token})

    answers = [await refresh(session.refresh_token) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) > 200
    assert (await refresh(other.refresh_token)).status_code == 200
    assert [(await refresh("unknown")).status_code for _ in range(4)] == [400, 400, 400, 429]
    assert (await refresh(other.refresh_token)).status_code == 200


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

    guesses = [await sign_in_from(provider, "192.0.2.1", new_email(), "x") for _ in range(4)]
    assert [guess.status_code for guess in guesses] == [400, 400, 400, 429]
    assert (await sign_in_from(provider, "192.0.2.2", email)).status_code == 200
    unproven = {"apikey": "sb_publishable_x", "Sb-Forwarded-For": "192.0.2.1"}
    answer = await provider.http.post(
        "/token?grant_type=password", json={"email": email, "password": "x"}, headers=unproven
    )
    assert answer.status_code == 400
