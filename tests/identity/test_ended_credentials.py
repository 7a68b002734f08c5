"""What docs/supabase.md says about reused refresh tokens and revoked signing keys, in each mode."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
import respx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.accounts.supabase import GoTrueIdentity
from app.core.errors import Unavailable
from app.core.resources import Resources
from app.identity.jwks import FRESH_SECONDS, STALE_SECONDS
from app.identity.local.provider import local_issuer
from app.identity.local.security.keys import SigningKeys, new_key
from app.identity.tokens import InvalidToken, Issuer, Verifier
from app.main import create_app
from tests.adapters.accounts.gotrue import refusal
from tests.conftest import SignUp, open_client
from tests.contracts.played_gotrue import URL
from tests.identity.test_jwks import KeyEndpoint
from tests.identity.test_tokens import ISSUER, KEY, good_claims, sign
from tests.patience import PATIENCE_SECONDS

AGE_TOKENS_SQL = text(
    "update auth.refresh_tokens set updated_at = now() - interval '11 seconds' where user_id = cast(:id as text)"
)
REMEMBERED_SECONDS = 60


@pytest_asyncio.fixture
async def supabase(resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        identity = GoTrueIdentity(URL, http, publishable_key="sb_p", secret_key="sb_s")
        async with open_client(create_app(replace(resources, identity=identity))) as client:
            yield client


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/v1/auth/refresh", json={"refresh_token": token})


async def test_reuse_ends_the_session_of_a_built_in_account_at_once(
    sign_up: SignUp, anonymous: httpx.AsyncClient, admin_engine: AsyncEngine
) -> None:
    ana = await sign_up()
    first = ana.tokens["refresh_token"]
    second = (await refresh(anonymous, first)).json()["refresh_token"]
    assert (await refresh(anonymous, first)).status_code == 200, "within ten seconds"
    third = (await refresh(anonymous, second)).json()["refresh_token"]
    async with admin_engine.begin() as tx:
        await tx.execute(AGE_TOKENS_SQL, {"id": ana.account_id})
    reused = await refresh(anonymous, first)
    assert (reused.status_code, reused.json()["code"]) == (401, "refresh_token_already_used")
    newest = await refresh(anonymous, third)
    assert (newest.status_code, newest.json()["code"]) == (401, "refresh_token_not_found")
    assert (await ana.client.get("/v1/projects")).status_code == 401, "access tokens end as well"


@respx.mock
async def test_reuse_leaves_access_tokens_of_supabase_until_they_end(
    supabase: httpx.AsyncClient, sign_up: SignUp
) -> None:
    """GoTrue revokes the refresh tokens and keeps the row of the session."""
    ana = await sign_up()
    respx.post(f"{URL}/token").mock(return_value=refusal(400, "refresh_token_already_used"))
    reused = await refresh(supabase, ana.tokens["refresh_token"])
    assert (reused.status_code, reused.json()["code"]) == (401, "refresh_token_already_used")
    assert "Sign in again" in reused.json()["detail"]
    bearer = {"Authorization": f"Bearer {ana.tokens['access_token']}"}
    assert (await supabase.get("/v1/projects", headers=bearer)).status_code == 200


async def test_key_that_supabase_revoked_is_refused_after_eleven_minutes() -> None:
    endpoint, started_at = KeyEndpoint(), time.time()
    private = new_key()
    endpoint.keys = [{name: value for name, value in private.items() if name != "d"}]
    # The endpoint counts from 1000.
    verifier = Verifier([Issuer(ISSUER, endpoint.cache)], clock=lambda: started_at + endpoint.now - 1000.0)
    token = sign(good_claims(), private)

    async def is_accepted(seconds: float) -> bool:
        endpoint.now = 1000.0 + seconds
        try:
            await verifier.verify(token)
        except InvalidToken:
            return False
        return True

    assert await is_accepted(0)
    endpoint.keys = []
    assert await is_accepted(FRESH_SECONDS - 1)
    assert await is_accepted(FRESH_SECONDS - 1 + REMEMBERED_SECONDS - 1), "the verified token is remembered"
    assert not await is_accepted(FRESH_SECONDS + REMEMBERED_SECONDS)

    endpoint.keys = [{name: value for name, value in private.items() if name != "d"}]
    endpoint.now += 30
    endpoint.cache.purge()
    assert await is_accepted(1000)
    endpoint.answer = httpx.ConnectError("down")
    assert await is_accepted(1000 + FRESH_SECONDS + STALE_SECONDS - 1), "Supabase does not respond"
    with pytest.raises(Unavailable):
        await is_accepted(1000 + FRESH_SECONDS + STALE_SECONDS + REMEMBERED_SECONDS)


async def test_key_that_the_built_in_provider_lost_is_refused_by_the_next_start() -> None:
    token = sign(good_claims())
    await Verifier([local_issuer(SigningKeys((KEY,)), ISSUER)]).verify(token)
    with pytest.raises(InvalidToken):
        await Verifier([local_issuer(SigningKeys((new_key(),)), ISSUER)]).verify(token)
    rotated = SigningKeys((new_key(), KEY))
    await Verifier([local_issuer(rotated, ISSUER)]).verify(token)
