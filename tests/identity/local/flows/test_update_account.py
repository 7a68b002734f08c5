import pytest
from sqlalchemy import text
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from app.core.database.database import Database
from app.identity.local.security.lockout import LockoutLimits
from tests.identity.local.conftest import PASSWORD, MakeProvider, Provider, new_email, sign_in, sign_up


async def test_metadata_update_merges_and_null_removes_a_key(provider: Provider) -> None:
    client = provider.client()
    await client.sign_up({"email": new_email(), "password": PASSWORD, "options": {"data": {"a": 1, "b": 2}}})
    answer = await client.update_user({"data": {"b": None, "c": 3}})
    assert answer.user.user_metadata == {"a": 1, "c": 3}


async def test_app_metadata_cannot_be_changed_by_the_account(provider: Provider) -> None:
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
async def test_metadata_that_cannot_be_stored_is_refused(provider: Provider, body: str) -> None:
    answer = await sign_up(provider)
    assert answer.session is not None
    headers = {"Authorization": f"Bearer {answer.session.access_token}", "Content-Type": "application/json"}
    refused = await provider.http.put("/user", content=body, headers=headers)
    assert (refused.status_code, refused.json()["error_code"]) == (400, "validation_failed")


async def test_password_change_ends_all_other_sessions(provider: Provider) -> None:
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


async def test_password_change_refuses_the_same_password(provider: Provider) -> None:
    client = provider.client()
    await client.sign_up({"email": new_email(), "password": PASSWORD})
    with pytest.raises(AuthApiError) as refused:
        await client.update_user({"password": PASSWORD})
    assert (refused.value.status, refused.value.code) == (422, "same_password")
    with pytest.raises(AuthWeakPasswordError):
        await client.update_user({"password": "short"})


async def test_password_change_can_require_the_current_password(make_provider: MakeProvider) -> None:
    provider = await make_provider(require_current_password=True)
    client = provider.client()
    await client.sign_up({"email": new_email(), "password": PASSWORD})
    for current, code in ((None, "current_password_required"), ("wrong", "current_password_invalid")):
        attributes = {"password": "another fine password"} | ({"current_password": current} if current else {})
        with pytest.raises(AuthApiError) as refused:
            await client.update_user(attributes)  # type: ignore[arg-type]
        assert (refused.value.status, refused.value.code) == (400, code)
    await client.update_user({"password": "another fine password", "current_password": PASSWORD})


async def test_password_change_in_an_old_session_requires_reauthentication(
    make_provider: MakeProvider, database: Database
) -> None:
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


async def test_email_change_refuses_a_taken_address(provider: Provider) -> None:
    taken = new_email()
    await sign_up(provider, taken)
    client = provider.client()
    await client.sign_up({"email": new_email(), "password": PASSWORD})
    with pytest.raises(AuthApiError) as refused:
        await client.update_user({"email": taken})
    assert (refused.value.status, refused.value.code) == (422, "email_exists")


async def test_email_change_acts_immediately_without_confirmation(provider: Provider) -> None:
    client, email = provider.client(), new_email()
    await client.sign_up({"email": new_email(), "password": PASSWORD})
    assert (await client.update_user({"email": email})).user.email == email
    await sign_in(provider, email)


async def test_password_changes_of_one_account_are_limited(make_provider: MakeProvider) -> None:
    provider = await make_provider(limits=LockoutLimits(password_changes_per_account=2))
    client = provider.client()
    await client.sign_up({"email": new_email(), "password": PASSWORD})
    for number in range(2):
        await client.update_user({"password": f"fine password {number}"})
    with pytest.raises(AuthApiError) as refused:
        await client.update_user({"password": "one more fine password"})
    assert (refused.value.status, refused.value.code) == (429, "over_request_rate_limit")
    await client.update_user({"data": {"name": "Ada"}})
