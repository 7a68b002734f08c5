"""Access tokens that the OAuth server of Supabase issues to applications, with the hook of docs/mcp.md."""

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from jose import jwt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.resources import Resources
from app.identity.local.security.keys import new_key, public_half
from app.identity.tokens import Issuer, StaticKeys, Verifier
from app.main import create_app
from tests.api_keys.oauth.conftest import RemoteClient
from tests.conftest import SignedUp, open_client

SUPABASE = "https://ref.supabase.co/auth/v1"
RESOURCE = "https://memory.example.com/mcp"
KEY = new_key()
HOOK = re.compile(r"```sql\n(create function public\.keepsake_token_hook.*?)```", re.DOTALL)
ROOT = Path(__file__).parents[3]


@pytest_asyncio.fixture
async def http(resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    """A server whose accounts are in Supabase, which also issues the tokens of /mcp."""
    keys = StaticKeys([public_half(KEY)])
    config = replace(resources.config, base_url="https://memory.example.com", oauth_issuer=SUPABASE)
    tokens = Verifier([Issuer(SUPABASE, keys, resource=RESOURCE)])
    async with open_client(create_app(replace(resources, config=config, tokens=tokens))) as client:
        yield client


def claims_of(person: SignedUp, **more: object) -> dict[str, Any]:
    """As GoTrue puts them into the token of an application."""
    now = int(time.time())
    own = jwt.get_unverified_claims(person.tokens["access_token"])
    return {**own, "iss": SUPABASE, "iat": now, "exp": now + 3600, "client_id": "8a0d", "scope": "openid email", **more}


def sign(claims: dict[str, Any]) -> str:
    token: str = jwt.encode(claims, dict(KEY), str(KEY["alg"]), headers={"kid": KEY["kid"]})
    return token


async def after_hook(engine: AsyncEngine, claims: dict[str, Any]) -> dict[str, Any]:
    """The function of the documentation, as GoTrue calls it."""
    (hook,) = HOOK.findall((ROOT / "docs" / "mcp.md").read_text())
    async with engine.connect() as connection:
        await connection.exec_driver_sql(hook.partition(";\n\n")[0])
        event = json.dumps({"user_id": claims["sub"], "claims": claims})
        call = text("select public.keepsake_token_hook(cast(:event as jsonb)) -> 'claims'")
        changed: dict[str, Any] = await connection.scalar(call, {"event": event})
        await connection.rollback()
    return changed


async def test_metadata_names_supabase(http: httpx.AsyncClient) -> None:
    refused = await http.post("/mcp", json={})
    assert (
        f"{RESOURCE.removesuffix('/mcp')}/.well-known/oauth-protected-resource/mcp"
        in refused.headers["WWW-Authenticate"]
    )
    found = (await http.get("/.well-known/oauth-protected-resource/mcp")).json()
    assert (found["resource"], found["authorization_servers"]) == (RESOURCE, [SUPABASE])


async def test_application_acts_for_the_person_within_its_scopes(
    http: httpx.AsyncClient, grantor: SignedUp, admin_engine: AsyncEngine
) -> None:
    changed = await after_hook(admin_engine, claims_of(grantor))
    assert (changed["aud"], "memories:write" in changed["scope"].split()) == (RESOURCE, True)
    remote = RemoteClient(http, grantor.client, "")
    added = (await remote.use(sign(changed), "add_memory", text="I like tea", infer=False)).json()
    assert added["result"]["isError"] is False
    listed = json.loads((await remote.use(sign(changed))).json()["result"]["content"][0]["text"])
    assert {each["user_id"] for each in listed["results"]} == {str(grantor.account_id)}
    assert (await remote.use(sign(changed), user_id="bob")).json()["result"]["isError"] is True, "also for an owner"
    reading = sign({**changed, "scope": "openid memories:read admin keys:write"})
    assert "memories:write" in (await remote.use(reading, "add_memory", text="x", infer=False)).text
    assert (await remote.use(sign({**changed, "scope": "openid"}))).status_code == 403
    own = {name: value for name, value in claims_of(grantor).items() if name not in ("client_id", "scope")}
    assert await after_hook(admin_engine, own) == own, "the person's own sessions stay as they are"


async def test_token_of_an_application_is_for_mcp_only(
    http: httpx.AsyncClient, grantor: SignedUp, admin_engine: AsyncEngine
) -> None:
    """It would otherwise create keys, and delete the account."""
    ours = sign(await after_hook(admin_engine, claims_of(grantor)))
    for path in ("/v1/ping/", "/v1/api-keys", "/v1/auth/me", "/v1/projects", "/v1/grants", "/v1/invitations/received"):
        assert (await http.get(path, headers={"Authorization": f"Bearer {ours}"})).status_code == 401, path
    remote = RemoteClient(http, grantor.client, "")
    for other in (claims_of(grantor), claims_of(grantor, aud="https://other.example/mcp", scope="memories:read")):
        assert (await remote.use(sign(other))).status_code == 401, "not for us"
        refused = await http.get("/v1/api-keys", headers={"Authorization": f"Bearer {sign(other)}"})
        assert refused.status_code == 401, "an application is no person"


async def test_token_ends_with_its_session(http: httpx.AsyncClient, owner: SignedUp, admin_engine: AsyncEngine) -> None:
    token = sign(await after_hook(admin_engine, claims_of(owner)))
    remote = RemoteClient(http, owner.client, "")
    assert (await remote.use(token)).status_code == 200
    async with admin_engine.begin() as connection:
        await connection.execute(text("delete from auth.sessions where user_id = :id"), {"id": owner.account_id})
    assert (await remote.use(token)).status_code == 401
