"""A new signing key beside the old one, and the revocation of the old one."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app.identity.jwks import FRESH_SECONDS, UNKNOWN_KEY_SECONDS, JwksCache
from app.identity.local.provider import local_issuer
from app.identity.local.security.keys import SigningKeys, load_or_create_keys, new_key, save_keys
from app.identity.tokens import Issuer, Jwk, Verifier
from app.main import create_app
from tests.conftest import open_client
from tests.supabase_live.deployments import Deployment
from tests.supabase_live.test_flows import post, sign_up

pytestmark = pytest.mark.supabase
REMEMBERED_SECONDS = 60


@dataclass
class MovableClock:
    moved: float = 0

    def __call__(self) -> float:
        return time.time() + self.moved


def app_that_fetches_keys(deployment: Deployment, clock: MovableClock) -> FastAPI:
    """As with SUPABASE_URL."""
    address = f"{deployment.provider.url}/auth/v1/.well-known/jwks.json"
    keys = JwksCache(address, deployment.http, clock=clock)
    tokens = Verifier([Issuer(deployment.issuer, keys)], remember_seconds=REMEMBERED_SECONDS, clock=clock)
    return create_app(replace(deployment.resources, tokens=tokens))


def app_with_key_file(deployment: Deployment, folder: Path, keys: Sequence[Jwk]) -> FastAPI:
    """The server with built-in accounts, started again after `signing_keys.json` was replaced."""
    save_keys(folder, SigningKeys(tuple(keys)))
    tokens = Verifier([local_issuer(load_or_create_keys(folder), deployment.issuer)])
    return create_app(replace(deployment.resources, tokens=tokens))


async def statuses(app: FastAPI, *tokens: str) -> list[int]:
    async with open_client(app, None) as client:
        return [
            (await client.get("/v1/projects", headers={"Authorization": f"Bearer {token}"})).status_code
            for token in tokens
        ]


async def refresh(deployment: Deployment, session: dict[str, str]) -> httpx.Response:
    return await post(deployment, "/v1/auth/refresh", refresh_token=session["refresh_token"])


async def test_revoked_key_is_refused_after_eleven_minutes(rotating_deployment: Deployment) -> None:
    clock, fresh = MovableClock(), new_key()
    app = app_that_fetches_keys(rotating_deployment, clock)
    session = await sign_up(rotating_deployment)
    old = session["access_token"]
    assert await statuses(app, old) == [200]

    await rotating_deployment.start_again([fresh, *rotating_deployment.keys])
    session = (await refresh(rotating_deployment, session)).json()
    new = session["access_token"]
    clock.moved += UNKNOWN_KEY_SECONDS
    assert await statuses(app, old, new) == [200, 200]

    await rotating_deployment.start_again([fresh])
    assert (await refresh(rotating_deployment, session)).status_code == 200, "a refresh token needs no signing key"
    clock.moved += FRESH_SECONDS - 1
    assert await statuses(app, old, new) == [200, 200]
    clock.moved += REMEMBERED_SECONDS
    assert await statuses(app, old, new) == [401, 200]


async def test_server_that_starts_without_the_old_key_refuses_its_tokens(
    rotating_deployment: Deployment, tmp_path: Path
) -> None:
    old_keys, fresh = rotating_deployment.keys, new_key()
    session = await sign_up(rotating_deployment)
    await rotating_deployment.start_again([fresh, *old_keys])
    old, new = session["access_token"], (await refresh(rotating_deployment, session)).json()["access_token"]
    assert await statuses(app_with_key_file(rotating_deployment, tmp_path, old_keys), old, new) == [200, 401]
    assert await statuses(app_with_key_file(rotating_deployment, tmp_path, [fresh, *old_keys]), old, new) == [200, 200]
    assert await statuses(app_with_key_file(rotating_deployment, tmp_path, [fresh]), old, new) == [401, 200]
