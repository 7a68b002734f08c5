"""What this provider does not offer answers with GoTrue's own code, as clients tell users by it."""

import pytest

from app.identity.local.switched_off import SWITCHED_OFF
from tests.identity.local.conftest import Provider, open_session

VERSION = {"X-Supabase-Api-Version": "2024-01-01"}


@pytest.mark.parametrize(("method", "path"), SWITCHED_OFF)
async def test_feature_that_is_switched_off_answers_with_its_code(provider: Provider, method: str, path: str) -> None:
    error = SWITCHED_OFF[method, path]
    answer = await provider.http.request(method, path, headers=VERSION)
    assert (answer.status_code, answer.json()) == (error.status, {"code": error.code, "message": error.message})


@pytest.mark.parametrize(("grant", "code"), [("id_token", "provider_disabled"), ("web3", "web3_provider_disabled")])
async def test_grant_that_is_switched_off_answers_with_its_code(provider: Provider, grant: str, code: str) -> None:
    answer = await provider.http.post(f"/token?grant_type={grant}", json={}, headers=VERSION)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_phone_number_cannot_be_set(provider: Provider) -> None:
    session = await open_session(provider)
    headers = {"Authorization": f"Bearer {session.access_token}", **VERSION}
    answer = await provider.http.put("/user", json={"phone": "+491701234567"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "phone_provider_disabled")
