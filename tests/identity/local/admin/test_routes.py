import uuid

import pytest
from supabase_auth.errors import AuthApiError

from tests.identity.local.conftest import ISSUER, SECRET, Provider, create_account, new_email, sign_in_as


async def test_accounts_are_listed_in_pages(provider: Provider) -> None:
    made = [(await create_account(provider)).id for _ in range(3)]
    assert len(await provider.client().admin.list_users()) >= 3
    first = await provider.client().admin.list_users(page=1, per_page=2)
    second = await provider.client().admin.list_users(page=2, per_page=2)
    assert [user.id for user in [*first, *second]][:3] == made[::-1]
    answer = await provider.http.get("/admin/users?per_page=2", headers={"Authorization": f"Bearer {SECRET}"})
    assert int(answer.headers["X-Total-Count"]) >= 3
    assert 'rel="next"' in answer.headers["Link"]


async def test_unknown_id_is_404_and_invalid_id_is_400(provider: Provider) -> None:
    with pytest.raises(AuthApiError) as refused:
        await provider.client().admin.update_user_by_id(str(uuid.uuid4()), {"email": new_email()})
    assert (refused.value.status, refused.value.code) == (404, "user_not_found")
    answer = await provider.http.get("/admin/users/one", headers={"Authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 400


async def test_admin_routes_require_the_secret_key_or_a_service_token(provider: Provider) -> None:
    user = await create_account(provider)
    person = await sign_in_as(provider, user)
    service = {"role": "service_role", "iss": ISSUER, "exp": 4_000_000_000}
    good = provider.identity.keys.sign(service)
    expected = {
        None: 401,
        "sb_publishable_x": 403,
        "é": 403,
        person: 403,
        provider.identity.keys.sign({**service, "role": "authenticated"}): 403,
        provider.identity.keys.sign({**service, "iss": "elsewhere"}): 403,
        provider.identity.keys.sign({**service, "exp": 1}): 403,
        good[:-4]: 403,
        good: 200,
        SECRET: 200,
    }
    for token, status in expected.items():
        headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
        answer = await provider.http.get("/admin/users", headers=headers)
        assert answer.status_code == status, token
    assert (await provider.http.get("/admin/users", headers={"apikey": SECRET})).status_code == 200
