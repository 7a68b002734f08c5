"""Second factors through the `supabase` package."""

import asyncio
import json
import re

import pytest
from sqlalchemy import text
from supabase_auth import AsyncGoTrueClient
from supabase_auth.errors import AuthApiError
from supabase_auth.helpers import decode_jwt

from app.core.database.database import Database
from app.identity.local.security.lockout import LockoutLimits
from tests.identity.local.authenticator import Authenticator, enroll, sign_in_client
from tests.identity.local.conftest import (
    PASSWORD,
    MakeProvider,
    Provider,
    create_account,
    new_email,
    open_session,
    sign_in_as,
)


async def signed_up(provider: Provider, email: str) -> AsyncGoTrueClient:
    client = provider.client()
    await client.sign_up({"email": email, "password": PASSWORD})
    return client


async def with_factor(provider: Provider, email: str) -> tuple[AsyncGoTrueClient, Authenticator]:
    client = await signed_up(provider, email)
    app = await enroll(client)
    await app.confirm(client)
    return client, app


def refused_code(refused: pytest.ExceptionInfo[AuthApiError]) -> tuple[int, str | None]:
    return refused.value.status, refused.value.code


async def test_enrolled_factor_counts_after_its_first_code(provider: Provider) -> None:
    client = await signed_up(provider, new_email())
    enrolled = await client.mfa.enroll({"factor_type": "totp", "friendly_name": "Telephone", "issuer": "Keep & sake"})
    assert enrolled.totp is not None
    assert enrolled.totp.uri.startswith("otpauth://totp/Keep%20%26%20sake:")
    assert f"secret={enrolled.totp.secret}" in enrolled.totp.uri
    assert re.match(r"data:image/svg\+xml;utf-8,<svg xmlns=[^#]*</svg>$", enrolled.totp.qr_code)
    waiting = await client.mfa.list_factors()
    assert ([factor.status for factor in waiting.all], waiting.totp) == (["unverified"], [])
    before = await client.mfa.get_authenticator_assurance_level()
    assert (before.current_level, before.next_level) == ("aal1", "aal1")

    app = Authenticator(enrolled.id, enrolled.totp.secret)
    answer = await app.confirm(client)
    claims = decode_jwt(answer.access_token)["payload"]
    assert claims["aal"] == "aal2"
    assert [proof["method"] for proof in claims["amr"]] == ["totp", "password"]
    assert [factor.status for factor in answer.user.factors or []] == ["verified"]
    after = await client.mfa.get_authenticator_assurance_level()
    assert (after.current_level, after.next_level) == ("aal2", "aal2")
    assert [factor.friendly_name for factor in (await client.mfa.list_factors()).totp] == ["Telephone"]


async def test_session_stays_raised_when_it_is_refreshed(provider: Provider) -> None:
    client, _ = await with_factor(provider, new_email())
    refreshed = (await client.refresh_session()).session
    assert refreshed is not None
    assert decode_jwt(refreshed.access_token)["payload"]["aal"] == "aal2"


async def test_first_factor_ends_the_other_sessions(provider: Provider) -> None:
    email = new_email()
    first = await signed_up(provider, email)
    second = await sign_in_client(provider.client(), email)
    await (await enroll(first)).confirm(first)
    assert (await first.get_user()) is not None
    with pytest.raises(AuthApiError) as refused:
        await second.get_user()
    assert refused.value.code == "session_not_found"


async def test_new_session_needs_the_factor_again(provider: Provider) -> None:
    email = new_email()
    _, app = await with_factor(provider, email)
    client = await sign_in_client(provider.client(), email)
    level = await client.mfa.get_authenticator_assurance_level()
    assert (level.current_level, level.next_level) == ("aal1", "aal2")
    assert decode_jwt((await app.confirm(client)).access_token)["payload"]["aal"] == "aal2"


async def test_code_is_accepted_once(provider: Provider) -> None:
    """Also in parallel, and also for another challenge."""
    email = new_email()
    client, app = await with_factor(provider, email)
    code = app.next_code()
    others = [await sign_in_client(provider.client(), email) for _ in range(3)]
    attempts = [other.mfa.challenge_and_verify({"factor_id": app.factor_id, "code": code}) for other in others]
    answers = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    with pytest.raises(AuthApiError) as refused:
        await client.mfa.challenge_and_verify({"factor_id": app.factor_id, "code": code})
    assert refused_code(refused) == (422, "mfa_verification_failed")


async def test_code_before_an_accepted_one_is_refused(provider: Provider) -> None:
    client = await signed_up(provider, new_email())
    app = await enroll(client)
    earlier = app.next_code()
    await app.confirm(client)
    with pytest.raises(AuthApiError) as refused:
        await client.mfa.challenge_and_verify({"factor_id": app.factor_id, "code": earlier})
    assert refused_code(refused) == (422, "mfa_verification_failed")


async def test_wrong_codes_lock_the_account_and_not_its_password(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(guesses_per_account=3, free_guesses=10))
    email = new_email()
    client, app = await with_factor(provider, email)
    for _ in range(3):
        with pytest.raises(AuthApiError) as wrong:
            await client.mfa.challenge_and_verify({"factor_id": app.factor_id, "code": "12345x"})
        assert wrong.value.code == "mfa_verification_failed"
    with pytest.raises(AuthApiError) as locked:
        await app.confirm(client)
    assert refused_code(locked) == (429, "over_request_rate_limit")
    assert await sign_in_client(provider.client(), email)


async def test_challenge_ends_with_its_time_its_use_and_its_address(provider: Provider, database: Database) -> None:
    client, app = await with_factor(provider, new_email())

    async def refusal(challenge_id: str, code: str = "000000") -> str | None:
        with pytest.raises(AuthApiError) as refused:
            await client.mfa.verify({"factor_id": app.factor_id, "challenge_id": challenge_id, "code": code})
        return refused.value.code

    async def change(challenge_id: str, assignment: str) -> None:
        query = text(f"update auth.mfa_challenges set {assignment} where id = :id")
        async with database.system() as tx:
            await tx.execute(query, {"id": challenge_id})

    expired = await client.mfa.challenge({"factor_id": app.factor_id})
    await change(expired.id, "created_at = created_at - interval '6 minutes'")
    assert await refusal(expired.id) == "mfa_challenge_expired"
    elsewhere = await client.mfa.challenge({"factor_id": app.factor_id})
    await change(elsewhere.id, "ip_address = '203.0.113.9'")
    assert await refusal(elsewhere.id) == "mfa_ip_address_mismatch"
    used = await client.mfa.challenge({"factor_id": app.factor_id})
    await client.mfa.verify({"factor_id": app.factor_id, "challenge_id": used.id, "code": app.next_code()})
    assert await refusal(used.id, app.next_code()) == "mfa_ip_address_mismatch"
    assert await refusal("00000000-0000-4000-8000-000000000000") == "mfa_factor_not_found"
    assert await refusal(used.id, "") == "validation_failed"


async def test_factor_of_another_account_does_not_exist(provider: Provider) -> None:
    _, app = await with_factor(provider, new_email())
    stranger = await signed_up(provider, new_email())
    with pytest.raises(AuthApiError) as refused:
        await stranger.mfa.challenge({"factor_id": app.factor_id})
    assert refused_code(refused) == (404, "mfa_factor_not_found")
    with pytest.raises(AuthApiError) as refused:
        await stranger.mfa.unenroll({"factor_id": app.factor_id})
    assert refused_code(refused) == (404, "mfa_factor_not_found")


async def test_password_alone_changes_no_factor_and_no_credential(provider: Provider) -> None:
    email = new_email()
    _, app = await with_factor(provider, email)
    client = await sign_in_client(provider.client(), email)
    with pytest.raises(AuthApiError) as refused:
        await enroll(client, "Another")
    assert refused_code(refused) == (403, "insufficient_aal")
    with pytest.raises(AuthApiError) as refused:
        await client.mfa.unenroll({"factor_id": app.factor_id})
    assert refused_code(refused) == (422, "insufficient_aal")
    for change in ({"password": "another fine password"}, {"email": new_email()}):
        with pytest.raises(AuthApiError) as refused:
            await client.update_user(change)  # type: ignore[arg-type]
        assert refused_code(refused) == (401, "insufficient_aal")
    assert (await client.update_user({"data": {"name": "Ada"}})).user.user_metadata == {"name": "Ada"}
    await app.confirm(client)
    await client.update_user({"password": "another fine password"})


async def test_removed_factor_lowers_its_sessions(provider: Provider) -> None:
    client, app = await with_factor(provider, new_email())
    assert (await client.mfa.unenroll({"factor_id": app.factor_id})).id == app.factor_id
    refreshed = (await client.refresh_session()).session
    assert refreshed is not None
    claims = decode_jwt(refreshed.access_token)["payload"]
    assert (claims["aal"], [proof["method"] for proof in claims["amr"]]) == ("aal1", ["password"])
    assert refreshed.user.factors is None


async def test_enrollments_are_limited_and_unfinished_ones_expire(provider: Provider, database: Database) -> None:
    client = await signed_up(provider, new_email())
    for number in range(10):
        await enroll(client, f"Telephone {number}")
    with pytest.raises(AuthApiError) as refused:
        await enroll(client, "Telephone 0")
    assert refused_code(refused) == (422, "mfa_factor_name_conflict")
    with pytest.raises(AuthApiError) as refused:
        await enroll(client, "One more")
    assert refused_code(refused) == (422, "too_many_enrolled_mfa_factors")
    async with database.system() as tx:
        older = "update auth.mfa_factors set created_at = created_at - interval '6 minutes' where status = 'unverified'"
        await tx.execute(text(older))
    await enroll(client, "One more")
    assert len((await client.mfa.list_factors()).all) == 1


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("phone", "mfa_phone_enroll_not_enabled"),
        ("webauthn", "mfa_webauthn_enroll_not_enabled"),
        ("x", "validation_failed"),
    ],
)
async def test_other_kinds_of_factors_are_refused(provider: Provider, kind: str, code: str) -> None:
    client = await signed_up(provider, new_email())
    with pytest.raises(AuthApiError) as refused:
        await client.mfa.enroll({"factor_type": kind, "phone": "+491701234567"})  # type: ignore[typeddict-item]
    assert refused.value.code == code


@pytest.mark.parametrize(
    "body",
    [{"issuer": "\U0001f600" * 256}, {"friendly_name": "\0"}, {"issuer": "\ud800"}, {"friendly_name": "n" * 257}],
)
async def test_hostile_names_are_refused(provider: Provider, body: dict[str, str]) -> None:
    """The first one has no room in a QR code."""
    session = await open_session(provider)
    headers = {"Authorization": f"Bearer {session.access_token}"}
    sent = json.dumps({"factor_type": "totp", **body})
    answer = await provider.http.post("/factors", content=sent, headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "validation_failed")


async def test_administrator_lists_and_deletes_factors(provider: Provider) -> None:
    user = await create_account(provider)
    assert user.email is not None
    client = await sign_in_client(provider.client(), user.email)
    app = await enroll(client)
    await app.confirm(client)
    admin = provider.client().admin.mfa
    assert [factor.id for factor in await admin.list_factors({"user_id": user.id})] == [app.factor_id]
    await admin.delete_factor({"user_id": user.id, "id": app.factor_id})
    assert await admin.list_factors({"user_id": user.id}) == []
    token = await sign_in_as(provider, user)
    answer = await provider.http.get(f"/admin/users/{user.id}/factors", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error_code"]) == (403, "not_admin")


async def test_stored_secret_is_sealed(provider: Provider, database: Database) -> None:
    client = await signed_up(provider, new_email())
    app = await enroll(client)
    async with database.system() as tx:
        values = {"id": app.factor_id}
        stored = await tx.scalar(text("select secret from auth.mfa_factors where id = :id"), values)
    assert stored.startswith("sealed:1:")
    assert app.secret not in stored
