import uuid

import pytest
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from tests.identity.local.conftest import PASSWORD, Provider, create_account, new_email, sign_in_as

BCRYPT = "$2a$10$xa673xTi.zSfqtWXXYMeK.mp3LO5Hx/0bMfn6rbb3PMgmxuIa9pp6"


async def test_created_account_has_the_requested_attributes(provider: Provider) -> None:
    account_id = str(uuid.uuid4())
    user = await create_account(provider, id=account_id, user_metadata={"a": 1}, app_metadata={"plan": "pro"})
    assert user.id == account_id
    assert user.user_metadata == {"a": 1}
    assert user.app_metadata == {"provider": "email", "providers": ["email"], "plan": "pro"}
    assert user.identities is not None
    await sign_in_as(provider, user)


async def test_created_account_can_have_a_password_hash(provider: Provider) -> None:
    moved = await provider.identity.hasher.hash(PASSWORD)
    for ident in ("$2a$", "$2b$", "$2y$"):
        user = await create_account(provider, password=None, password_hash=moved.replace("$2a$", ident))
        await sign_in_as(provider, user)


@pytest.mark.parametrize("password_hash", ["plain", BCRYPT.replace("$10$", "$31$"), BCRYPT[:-1], "$argon2id$v=19$x"])
async def test_unsupported_password_hashes_are_refused(provider: Provider, password_hash: str) -> None:
    with pytest.raises(AuthApiError) as refused:
        await create_account(provider, password_hash=password_hash)
    assert (refused.value.status, refused.value.code) == (400, "validation_failed")


@pytest.mark.parametrize(
    "attributes",
    [
        {"email": "nobody"},
        {"email": ""},
        {"id": "one"},
        {"role": "Robert'); drop"},
        {"role": "nul\0"},
        {"ban_duration": "soon"},
        {"user_metadata": {"nul": "\0"}},
    ],
)
async def test_invalid_attributes_are_refused(provider: Provider, attributes: dict[str, object]) -> None:
    with pytest.raises(AuthApiError) as refused:
        await create_account(provider, **attributes)
    assert (refused.value.status, refused.value.code) == (400, "validation_failed")


async def test_taken_addresses_and_ids_and_weak_passwords_are_refused(provider: Provider) -> None:
    user = await create_account(provider)
    for taken in ({"email": user.email}, {"id": user.id}):
        with pytest.raises(AuthApiError) as refused:
            await create_account(provider, **taken)
        assert (refused.value.status, refused.value.code) == (422, "email_exists")
    with pytest.raises(AuthWeakPasswordError):
        await create_account(provider, password="short")


async def test_account_changes_act_immediately(provider: Provider) -> None:
    user, email = await create_account(provider), new_email()
    token = await sign_in_as(provider, user)
    changed = await provider.client().admin.update_user_by_id(
        user.id,
        {"email": email, "password": "another fine password", "user_metadata": {"a": 1}, "app_metadata": {"b": 2}},
    )
    assert changed.user.email == email
    assert changed.user.user_metadata == {"a": 1}
    assert changed.user.app_metadata["b"] == 2
    with pytest.raises(AuthApiError) as refused:
        await provider.client().get_user(token)
    assert refused.value.code == "session_not_found"
    await sign_in_as(provider, changed.user, "another fine password")
    other = await create_account(provider)
    with pytest.raises(AuthApiError) as refused:
        await provider.client().admin.update_user_by_id(other.id, {"email": email})
    assert refused.value.code == "email_exists"


async def test_ban_acts_immediately_and_can_be_lifted(provider: Provider) -> None:
    user = await create_account(provider)
    assert user.email is not None
    session = (await provider.client().sign_in_with_password({"email": user.email, "password": PASSWORD})).session
    assert session is not None
    banned = await provider.client().admin.update_user_by_id(user.id, {"ban_duration": "1h30m"})
    assert banned.user.banned_until is not None
    with pytest.raises(AuthApiError) as refused:
        await provider.client().get_user(session.access_token)
    assert (refused.value.status, refused.value.code) == (403, "user_banned")
    with pytest.raises(AuthApiError) as refused:
        await sign_in_as(provider, user)
    assert (refused.value.status, refused.value.code) == (400, "user_banned")
    with pytest.raises(AuthApiError) as refused:
        await provider.client().refresh_session(session.refresh_token)
    assert refused.value.status == 400
    await provider.client().admin.update_user_by_id(user.id, {"ban_duration": "none"})
    with pytest.raises(AuthApiError) as refused:
        await provider.client().get_user(session.access_token)
    assert refused.value.code == "session_not_found"
    await sign_in_as(provider, user)


async def test_deleted_account_is_gone_and_its_address_is_free(provider: Provider) -> None:
    user = await create_account(provider)
    await provider.client().admin.delete_user(user.id)
    for call in (provider.client().admin.get_user_by_id, provider.client().admin.delete_user):
        with pytest.raises(AuthApiError) as refused:
            await call(user.id)
        assert (refused.value.status, refused.value.code) == (404, "user_not_found")
    await create_account(provider, email=user.email)


async def test_softly_deleted_account_keeps_only_its_id(provider: Provider) -> None:
    user = await create_account(provider, user_metadata={"name": "Ada"})
    token = await sign_in_as(provider, user)
    await provider.client().admin.delete_user(user.id, should_soft_delete=True)
    await provider.client().admin.delete_user(user.id, should_soft_delete=True)
    left = (await provider.client().admin.get_user_by_id(user.id)).user
    assert left.deleted_at is not None
    assert left.user_metadata == {}
    assert left.identities == []
    assert user.email
    assert user.email not in left.model_dump_json()
    with pytest.raises(AuthApiError):
        await provider.client().get_user(token)
    await create_account(provider, email=user.email)
