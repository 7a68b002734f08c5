import uuid

import httpx
import pytest
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError
from supabase_auth.types import User

from tests.identity.local.conftest import ISSUER, PASSWORD, SECRET, Provider, new_email

BCRYPT = "$2a$10$xa673xTi.zSfqtWXXYMeK.mp3LO5Hx/0bMfn6rbb3PMgmxuIa9pp6"


async def create(provider: Provider, **attributes: object) -> User:
    wanted = {"email": new_email(), "password": PASSWORD, "email_confirm": True, **attributes}
    return (await provider.client().admin.create_user(wanted)).user  # type: ignore[arg-type]


async def sign_in(provider: Provider, user: User, password: str = PASSWORD) -> str:
    assert user.email is not None
    answer = await provider.client().sign_in_with_password({"email": user.email, "password": password})
    assert answer.session is not None
    return answer.session.access_token


async def test_an_account_is_made_as_asked(provider: Provider) -> None:
    wanted = str(uuid.uuid4())
    user = await create(provider, id=wanted, user_metadata={"a": 1}, app_metadata={"plan": "pro"})
    assert user.id == wanted
    assert user.user_metadata == {"a": 1}
    assert user.app_metadata == {"provider": "email", "providers": ["email"], "plan": "pro"}
    assert user.identities is not None
    await sign_in(provider, user)


async def test_an_account_arrives_with_its_password_hash(provider: Provider) -> None:
    moved = await provider.house.hasher.hash(PASSWORD)
    for ident in ("$2a$", "$2b$", "$2y$"):
        user = await create(provider, password=None, password_hash=moved.replace("$2a$", ident))
        await sign_in(provider, user)


@pytest.mark.parametrize("password_hash", ["plain", BCRYPT.replace("$10$", "$31$"), BCRYPT[:-1], "$argon2id$v=19$x"])
async def test_hashes_we_could_not_check_are_refused(provider: Provider, password_hash: str) -> None:
    with pytest.raises(AuthApiError) as refused:
        await create(provider, password_hash=password_hash)
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
async def test_bad_attributes_are_clear_errors(provider: Provider, attributes: dict[str, object]) -> None:
    with pytest.raises(AuthApiError) as refused:
        await create(provider, **attributes)
    assert (refused.value.status, refused.value.code) == (400, "validation_failed")


async def test_taken_addresses_and_ids_and_weak_passwords_are_refused(provider: Provider) -> None:
    user = await create(provider)
    for taken in ({"email": user.email}, {"id": user.id}):
        with pytest.raises(AuthApiError) as refused:
            await create(provider, **taken)
        assert (refused.value.status, refused.value.code) == (422, "email_exists")
    with pytest.raises(AuthWeakPasswordError):
        await create(provider, password="short")


async def test_changes_of_an_admin_count_at_once(provider: Provider) -> None:
    user, email = await create(provider), new_email()
    token = await sign_in(provider, user)
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
    await sign_in(provider, changed.user, "another fine password")
    other = await create(provider)
    with pytest.raises(AuthApiError) as refused:
        await provider.client().admin.update_user_by_id(other.id, {"email": email})
    assert refused.value.code == "email_exists"


async def test_a_ban_acts_at_once_and_can_be_lifted(provider: Provider) -> None:
    user = await create(provider)
    assert user.email is not None
    session = (await provider.client().sign_in_with_password({"email": user.email, "password": PASSWORD})).session
    assert session is not None
    banned = await provider.client().admin.update_user_by_id(user.id, {"ban_duration": "1h30m"})
    assert banned.user.banned_until is not None
    with pytest.raises(AuthApiError) as refused:
        await provider.client().get_user(session.access_token)
    assert (refused.value.status, refused.value.code) == (403, "user_banned")
    with pytest.raises(AuthApiError) as refused:
        await sign_in(provider, user)
    assert (refused.value.status, refused.value.code) == (400, "user_banned")
    with pytest.raises(AuthApiError) as refused:
        await provider.client().refresh_session(session.refresh_token)
    assert refused.value.status == 400
    await provider.client().admin.update_user_by_id(user.id, {"ban_duration": "none"})
    with pytest.raises(AuthApiError) as refused:
        await provider.client().get_user(session.access_token)
    assert refused.value.code == "session_not_found"
    await sign_in(provider, user)


async def test_a_deleted_account_is_gone_and_its_address_free(provider: Provider) -> None:
    user = await create(provider)
    await provider.client().admin.delete_user(user.id)
    for call in (provider.client().admin.get_user_by_id, provider.client().admin.delete_user):
        with pytest.raises(AuthApiError) as refused:
            await call(user.id)
        assert (refused.value.status, refused.value.code) == (404, "user_not_found")
    await create(provider, email=user.email)


async def test_a_softly_deleted_account_keeps_its_id_and_nothing_else(provider: Provider) -> None:
    user = await create(provider, user_metadata={"name": "Ada"})
    token = await sign_in(provider, user)
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
    await create(provider, email=user.email)


async def test_accounts_are_listed_in_pages(provider: Provider) -> None:
    made = [(await create(provider)).id for _ in range(3)]
    assert len(await provider.client().admin.list_users()) >= 3
    first = await provider.client().admin.list_users(page=1, per_page=2)
    second = await provider.client().admin.list_users(page=2, per_page=2)
    assert [user.id for user in [*first, *second]][:3] == made[::-1]
    answer = await provider.http.get("/admin/users?per_page=2", headers={"Authorization": f"Bearer {SECRET}"})
    assert int(answer.headers["X-Total-Count"]) >= 3
    assert 'rel="next"' in answer.headers["Link"]


async def test_an_unknown_id_is_not_found_and_a_bad_one_refused(provider: Provider) -> None:
    with pytest.raises(AuthApiError) as refused:
        await provider.client().admin.update_user_by_id(str(uuid.uuid4()), {"email": new_email()})
    assert (refused.value.status, refused.value.code) == (404, "user_not_found")
    answer = await provider.http.get("/admin/users/one", headers={"Authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 400


@pytest.mark.parametrize("kind", ["signup", "invite", "magiclink", "recovery"])
async def test_links_are_made_instead_of_sent(mailing: Provider, kind: str) -> None:
    email = new_email()
    if kind == "recovery":
        await create(mailing, email=email)
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


async def test_links_for_a_change_of_address(mailing: Provider) -> None:
    user, new = await create(mailing), new_email()
    hashes = []
    for kind in ("email_change_current", "email_change_new"):
        made = await mailing.client().admin.generate_link({"type": kind, "email": user.email, "new_email": new})  # type: ignore[typeddict-item]
        hashes.append(made.properties.hashed_token)
    for token_hash in hashes:
        answer = await mailing.client().verify_otp({"token_hash": token_hash, "type": "email_change"})
    assert answer.session is not None
    assert answer.session.user.email == new


async def test_links_for_nobody_or_for_somebody_confirmed_are_refused(mailing: Provider) -> None:
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().admin.generate_link({"type": "recovery", "email": new_email()})
    assert (refused.value.status, refused.value.code) == (404, "user_not_found")
    user = await create(mailing)
    assert user.email is not None
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().admin.generate_link({"type": "signup", "email": user.email, "password": PASSWORD})
    assert (refused.value.status, refused.value.code) == (422, "email_exists")


async def test_the_admin_routes_open_to_the_secret_key_and_service_tokens_only(provider: Provider) -> None:
    user = await create(provider)
    person = await sign_in(provider, user)
    service = {"role": "service_role", "iss": ISSUER, "exp": 4_000_000_000}
    good = provider.house.keys.sign(service)
    expected = {
        None: 401,
        "sb_publishable_x": 403,
        "é": 403,
        person: 403,
        provider.house.keys.sign({**service, "role": "authenticated"}): 403,
        provider.house.keys.sign({**service, "iss": "elsewhere"}): 403,
        provider.house.keys.sign({**service, "exp": 1}): 403,
        good[:-4]: 403,
        good: 200,
        SECRET: 200,
    }
    for token, status in expected.items():
        headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
        answer = await provider.http.get("/admin/users", headers=headers)
        assert answer.status_code == status, token
    assert (await provider.http.get("/admin/users", headers={"apikey": SECRET})).status_code == 200
