import uuid
from typing import Any

import pytest
from supabase_auth.errors import AuthApiError

from tests.identity.local.conftest import ISSUER, SECRET, Provider, open_session, sign_up


async def test_access_token_has_the_claims_of_supabase(provider: Provider) -> None:
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
    assert (await provider.identity.tokens.verify(answer.session.access_token)).subject == uuid.UUID(claims["sub"])


async def test_user_route_requires_the_token_of_an_account(provider: Provider) -> None:
    assert (await provider.http.get("/user")).status_code == 401
    keyed = await provider.http.get("/user", headers={"apikey": SECRET, "Authorization": f"Bearer {SECRET}"})
    assert (keyed.status_code, keyed.json()["error_code"]) == (401, "no_authorization")
    with pytest.raises(AuthApiError) as refused:
        await provider.client().get_user("not.a.token")
    assert (refused.value.status, refused.value.code) == (403, "bad_jwt")


async def test_token_of_a_deleted_account_is_refused(provider: Provider) -> None:
    session = await open_session(provider)
    await provider.client().admin.delete_user(session.user.id)
    with pytest.raises(AuthApiError) as refused:
        await provider.client().get_user(session.access_token)
    assert (refused.value.status, refused.value.code) == (403, "user_not_found")
