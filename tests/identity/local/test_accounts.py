import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import text
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError
from supabase_auth.types import AuthResponse

from app.core.database.database import Database
from app.identity.local.security.lockout import LockoutLimits
from app.identity.local.security.passwords import PasswordRules
from tests.identity.local.conftest import ISSUER, PASSWORD, SECRET, MakeProvider, Provider, new_email


async def sign_up(provider: Provider, email: str | None = None, password: str = PASSWORD) -> AuthResponse:
    return await provider.client().sign_up({"email": email or new_email(), "password": password})


async def sign_in(provider: Provider, email: str, password: str = PASSWORD) -> AuthResponse:
    return await provider.client().sign_in_with_password({"email": email, "password": password})


async def test_signing_up_signs_in(provider: Provider) -> None:
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


async def test_the_row_is_one_gotrue_accepts(provider: Provider, database: Database) -> None:
    answer = await sign_up(provider)
    assert answer.user is not None
    async with database.system() as tx:
        row = (
            (
                await tx.execute(
                    text(
                        "select u.*, i.provider_id, i.identity_data, i.provider, i.email as identity_email"
                        " from auth.users u join auth.identities i on i.user_id = u.id where u.id = :id"
                    ),
                    {"id": answer.user.id},
                )
            )
            .mappings()
            .one()
        )
    assert row["instance_id"] == uuid.UUID(int=0)
    assert (row["aud"], row["role"]) == ("authenticated", "authenticated")
    for column in ("confirmation_token", "recovery_token", "email_change_token_new", "email_change"):
        assert row[column] == ""
    assert row["encrypted_password"].startswith("$2a$10$")
    assert row["confirmed_at"] == row["email_confirmed_at"] is not None
    assert row["provider_id"] == answer.user.id
    assert row["provider"] == "email"
    assert row["identity_email"] == answer.user.email
    assert row["identity_data"] == {
        "sub": answer.user.id,
        "email": answer.user.email,
        "email_verified": True,
        "phone_verified": False,
    }


async def test_the_access_token_says_what_supabase_would(provider: Provider) -> None:
    answer = await sign_up(provider)
    assert answer.session is not None
    verified = await provider.client().get_claims(answer.session.access_token)
    assert verified is not None
    claims: dict[str, Any] = {**verified["claims"]}
    assert claims["iss"] == ISSUER
    assert claims["aud"] == claims["role"] == "authenticated"
    assert claims["sub"] == answer.session.user.id
    assert claims["exp"] - claims["iat"] == answer.session.expires_in == 3600
    assert claims["amr"][0]["method"] == "password"
    assert claims["phone"] == ""
    assert claims["aal"] == "aal1"
    assert claims["is_anonymous"] is False
    assert uuid.UUID(claims["session_id"])
    assert (await provider.house.tokens.verify(answer.session.access_token)).subject == uuid.UUID(claims["sub"])


async def test_an_address_signs_up_once(provider: Provider) -> None:
    email = new_email()
    await sign_up(provider, email)
    with pytest.raises(AuthApiError) as refused:
        await sign_up(provider, email)
    assert (refused.value.status, refused.value.code) == (422, "user_already_exists")


async def test_of_many_sign_ups_at_once_one_wins_and_the_others_hear_why(provider: Provider) -> None:
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
async def test_what_cannot_be_an_account_is_a_clear_error(
    provider: Provider, email: str, password: str, code: str
) -> None:
    with pytest.raises(AuthApiError) as refused:
        await sign_up(provider, email, password)
    assert (refused.value.status, refused.value.code) == (400, code)


async def test_seventy_two_bytes_are_a_password(provider: Provider) -> None:
    email, password = new_email(), "é" * 36
    await sign_up(provider, email, password)
    assert (await sign_in(provider, email, password)).session is not None
    with pytest.raises(AuthApiError) as refused:
        await sign_in(provider, email, password + "x")
    assert refused.value.code == "invalid_credentials"


async def test_weak_passwords_are_refused_with_reasons(make_provider: MakeProvider) -> None:
    provider = await make_provider(passwords=PasswordRules(shortest=10, required=("lower", "digits")))
    with pytest.raises(AuthWeakPasswordError) as refused:
        await sign_up(provider, password="SHORT")
    assert refused.value.status == 422
    assert refused.value.reasons == ["length", "characters"]
    with pytest.raises(AuthWeakPasswordError) as refused:
        await sign_up(provider, password="long enough yet without")
    assert refused.value.reasons == ["characters"]


async def test_closed_signups_other_ways_in_and_unknown_grants_are_refused(make_provider: MakeProvider) -> None:
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


async def test_wrong_passwords_and_unknown_addresses_hear_the_same(provider: Provider) -> None:
    email = new_email()
    await sign_up(provider, email)
    answers = [
        await provider.http.post("/token?grant_type=password", json={"email": who, "password": word})
        for who, word in ((email, "wrong"), (new_email(), "wrong"), (email, "x" * 100), ("not an address", "\0"))
    ]
    assert {answer.status_code for answer in answers} == {400}
    assert len({answer.content for answer in answers}) == 1


async def test_signing_in_ignores_the_case_of_the_address(provider: Provider) -> None:
    email = new_email()
    await sign_up(provider, email)
    assert (await sign_in(provider, email.upper())).session is not None


async def test_guessing_passwords_is_locked_out_and_a_right_one_forgets(make_provider: MakeProvider) -> None:
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


async def test_guessing_in_parallel_gains_nothing(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(guesses_per_account=3, free_guesses=1_000))
    email = new_email()
    answers = await asyncio.gather(*(sign_in(provider, email, "wrong") for _ in range(8)), return_exceptions=True)
    codes = [str(answer.code) for answer in answers if isinstance(answer, AuthApiError)]
    assert sorted(codes) == ["invalid_credentials"] * 3 + ["over_request_rate_limit"] * 5


async def test_an_address_that_tries_many_accounts_is_locked_out_alone(make_provider: MakeProvider) -> None:
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


async def test_sign_ups_from_one_address_are_limited(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(requests_per_address=2))
    for _ in range(2):
        await sign_up(provider)
    with pytest.raises(AuthApiError) as refused:
        await sign_up(provider)
    assert (refused.value.status, refused.value.code) == (429, "over_request_rate_limit")


async def test_updating_the_profile_merges_and_null_removes(provider: Provider) -> None:
    client = provider.client()
    await client.sign_up({"email": new_email(), "password": PASSWORD, "options": {"data": {"a": 1, "b": 2}}})
    answer = await client.update_user({"data": {"b": None, "c": 3}})
    assert answer.user.user_metadata == {"a": 1, "c": 3}


async def test_app_metadata_is_not_a_persons_to_write(provider: Provider) -> None:
    answer = await sign_up(provider)
    assert answer.session is not None
    headers = {"Authorization": f"Bearer {answer.session.access_token}", "X-Supabase-Api-Version": "2024-01-01"}
    refused = await provider.http.put("/user", json={"app_metadata": {"admin": True}}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_admin")


@pytest.mark.parametrize(
    "body",
    [
        '{"data": {"a": "\\u0000"}}',
        '{"data": {"a": "\\ud800"}}',
        '{"data": {"a": NaN}}',
        '{"data": 1}',
        '{"data": ' + '{"a":' * 100 + "1" + "}" * 100 + "}",
        '{"data": {"a": "' + "x" * 9000 + '"}}',
    ],
)
async def test_metadata_that_cannot_be_kept_is_a_clear_error(provider: Provider, body: str) -> None:
    answer = await sign_up(provider)
    assert answer.session is not None
    headers = {"Authorization": f"Bearer {answer.session.access_token}", "Content-Type": "application/json"}
    refused = await provider.http.put("/user", content=body, headers=headers)
    assert (refused.status_code, refused.json()["error_code"]) == (400, "validation_failed")


async def test_changing_the_password_ends_every_other_session(provider: Provider) -> None:
    email = new_email()
    client = provider.client()
    await client.sign_up({"email": email, "password": PASSWORD})
    other = await sign_in(provider, email)
    await client.update_user({"password": "another fine password"})
    assert (await client.get_user()) is not None
    assert other.session is not None
    with pytest.raises(AuthApiError) as refused:
        await provider.client().get_user(other.session.access_token)
    assert refused.value.code == "session_not_found"
    with pytest.raises(AuthApiError):
        await sign_in(provider, email)
    await sign_in(provider, email, "another fine password")


async def test_the_same_password_again_is_refused(provider: Provider) -> None:
    client = provider.client()
    await client.sign_up({"email": new_email(), "password": PASSWORD})
    with pytest.raises(AuthApiError) as refused:
        await client.update_user({"password": PASSWORD})
    assert (refused.value.status, refused.value.code) == (422, "same_password")
    with pytest.raises(AuthWeakPasswordError):
        await client.update_user({"password": "short"})


async def test_the_current_password_can_be_demanded(make_provider: MakeProvider) -> None:
    provider = await make_provider(require_current_password=True)
    client = provider.client()
    await client.sign_up({"email": new_email(), "password": PASSWORD})
    for current, code in ((None, "current_password_required"), ("wrong", "current_password_invalid")):
        attributes = {"password": "another fine password"} | ({"current_password": current} if current else {})
        with pytest.raises(AuthApiError) as refused:
            await client.update_user(attributes)  # type: ignore[arg-type]
        assert (refused.value.status, refused.value.code) == (400, code)
    await client.update_user({"password": "another fine password", "current_password": PASSWORD})


async def test_an_old_session_must_reauthenticate_by_mail(make_provider: MakeProvider, database: Database) -> None:
    provider = await make_provider(require_reauthentication=True)
    client = provider.client()
    answer = await client.sign_up({"email": new_email(), "password": PASSWORD})
    assert answer.user is not None
    async with database.system() as tx:
        old = text("update auth.sessions set created_at = now() - interval '2 days' where user_id = :id")
        await tx.execute(old, {"id": answer.user.id})
    with pytest.raises(AuthApiError) as refused:
        await client.update_user({"password": "another fine password"})
    assert refused.value.code == "reauthentication_needed"
    await client.reauthenticate()
    code = (await provider.mail()).link
    with pytest.raises(AuthApiError) as refused:
        await client.update_user({"password": "another fine password", "nonce": f"{(int(code) + 1) % 1_000_000:06d}"})
    assert (refused.value.status, refused.value.code) == (422, "reauthentication_not_valid")
    await client.update_user({"password": "another fine password", "nonce": code})


async def test_an_address_somebody_else_has_cannot_be_taken(provider: Provider) -> None:
    taken = new_email()
    await sign_up(provider, taken)
    client = provider.client()
    await client.sign_up({"email": new_email(), "password": PASSWORD})
    with pytest.raises(AuthApiError) as refused:
        await client.update_user({"email": taken})
    assert (refused.value.status, refused.value.code) == (422, "email_exists")


async def test_without_mail_a_new_address_counts_at_once(provider: Provider) -> None:
    client, email = provider.client(), new_email()
    await client.sign_up({"email": new_email(), "password": PASSWORD})
    assert (await client.update_user({"email": email})).user.email == email
    await sign_in(provider, email)


async def test_errors_speak_the_version_the_client_speaks(provider: Provider) -> None:
    body = {"email": new_email(), "password": "short"}
    old = await provider.http.post("/signup", json=body)
    assert old.json()["code"] == 422
    assert old.json()["error_code"] == "weak_password"
    assert old.json()["msg"]
    new = await provider.http.post("/signup", json=body, headers={"X-Supabase-Api-Version": "2024-01-01"})
    assert new.json()["code"] == "weak_password"
    assert new.json()["weak_password"] == {"reasons": ["length"]}
    assert new.headers["X-Supabase-Api-Version"] == "2024-01-01"
    assert new.headers["x-sb-error-code"] == "weak_password"


async def test_bad_bodies_and_unknown_routes_are_errors_of_the_same_shape(provider: Provider) -> None:
    bad = await provider.http.post("/signup", content="{", headers={"Content-Type": "application/json"})
    assert (bad.status_code, bad.json()["error_code"]) == (400, "bad_json")
    wrong = await provider.http.post("/signup", json={"email": ["secret word"]})
    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "validation_failed")
    assert "secret word" not in wrong.text
    assert (await provider.http.get("/nowhere")).json()["code"] == 404
    assert (await provider.http.get("/signup")).json()["code"] == 405


async def test_health_settings_and_keys_are_open(provider: Provider) -> None:
    assert (await provider.http.get("/health")).json()["name"]
    assert (await provider.http.get("/settings")).json()["mailer_autoconfirm"] is True
    answer = await provider.http.get("/.well-known/jwks.json")
    assert answer.headers["Cache-Control"] == "public, max-age=600"
    (key,) = answer.json()["keys"]
    assert key["alg"] == "ES256"
    assert "d" not in key
