"""OAuth for remote clients, and the attacks of RFC 9700 that it refuses."""

import asyncio
import json

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api_keys.oauth.tokens import ACCESS_SECONDS, seal
from app.core.resources import Resources
from tests.api_keys.oauth.conftest import CALLBACK, RemoteClient
from tests.conftest import MakeKey, SignedUp, open_client


async def test_metadata_leads_from_a_refused_request_to_the_endpoints(remote: RemoteClient) -> None:
    refused = await remote.use("ks_wrong")
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    where = refused.headers["WWW-Authenticate"].partition('resource_metadata="')[2].rstrip('"')
    assert where == f"{remote.issuer}/.well-known/oauth-protected-resource/mcp"
    resource = (await remote.http.get(where.removeprefix(remote.issuer))).json()
    assert resource["resource"] == f"{remote.issuer}/mcp"
    assert resource["authorization_servers"] == [remote.issuer]
    server = (await remote.http.get("/.well-known/oauth-authorization-server")).json()
    assert server["issuer"] == remote.issuer
    assert server["code_challenge_methods_supported"] == ["S256"]
    assert server["registration_endpoint"] == f"{remote.issuer}/oauth/register"


async def test_client_acts_as_the_person_until_the_grant_is_revoked(remote: RemoteClient, grantor: SignedUp) -> None:
    asked = await remote.ask()
    received = await remote.consent(asked)
    assert (received["state"], received["iss"]) == ("st", remote.issuer)
    tokens = (await remote.exchange(received["code"])).json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", ACCESS_SECONDS)
    added = await remote.use(tokens["access_token"], "add_memory", text="I like tea", infer=False)
    assert added.json()["result"]["isError"] is False
    listed = json.loads((await remote.use(tokens["access_token"])).json()["result"]["content"][0]["text"])
    assert [each["user_id"] for each in listed["results"]] == [str(grantor.account_id)]
    (grant,) = await remote.grants()
    assert grant["created_by"]["account_id"] == str(grantor.account_id)
    assert (await remote.person.post(f"/v1/api-keys/{grant['id']}/rotate")).status_code == 409
    assert (await remote.person.delete(f"/v1/api-keys/{grant['id']}")).status_code == 200
    assert (await remote.use(tokens["access_token"])).status_code == 401
    assert (await remote.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_client_can_revoke_its_grant(remote: RemoteClient) -> None:
    for kind in ("access_token", "refresh_token"):
        tokens = await remote.tokens()
        assert (await remote.http.post("/oauth/revoke", data={"token": tokens[kind]})).status_code == 200
        assert (await remote.use(tokens["access_token"])).status_code == 401
    assert (await remote.http.post("/oauth/revoke", data={"token": "unknown"})).status_code == 200


async def test_person_can_decline(remote: RemoteClient) -> None:
    received = await remote.consent(await remote.ask(), approve=False)
    assert received == {"error": "access_denied", "state": "st", "iss": remote.issuer}
    assert await remote.grants() == []


async def test_scopes_are_those_that_were_asked_for(remote: RemoteClient) -> None:
    tokens = await remote.tokens(scope="memories:read offline_access")
    assert tokens["scope"] == "memories:read"
    refused = await remote.use(tokens["access_token"], "add_memory", text="x", infer=False)
    assert "memories:write" in refused.text
    received = await remote.consent(await remote.ask(scope="keys:write"))
    assert received["error"] == "invalid_scope", "and nothing is granted, although the person agreed"


# ---------------------------------------------------------------- attacks


async def test_code_is_sent_to_an_address_of_the_client_only(remote: RemoteClient) -> None:
    for other in (
        "https://attacker.example/callback",
        "http://127.0.0.1:7777/callback/../x",
        "http://127.0.0.1:7777/callback?x=1",
        "http://127.0.0.1@attacker.example/callback",
        "http://127.0.0.1:7777/other",
        "",
    ):
        refused = await remote.ask(redirect_uri=other)
        assert (refused.status_code, "location" in refused.headers) == (400, False), other
    assert (await remote.ask(redirect_uri="http://127.0.0.1:9999/callback")).status_code == 302, "any port on loopback"


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "http://example.com/cb", "https://a.example/cb#x", "data:,x"])
async def test_dangerous_address_is_not_registered(remote: RemoteClient, uri: str) -> None:
    refused = await remote.register(redirect_uris=[uri])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_redirect_uri")


async def test_code_works_once_and_a_second_use_ends_the_grant(remote: RemoteClient) -> None:
    code = await remote.code()
    tokens = (await remote.exchange(code)).json()
    assert (await remote.use(tokens["access_token"])).status_code == 200
    assert (await remote.exchange(code)).json()["error"] == "invalid_grant"
    assert (await remote.use(tokens["access_token"])).status_code == 401
    assert (await remote.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_code_that_is_exchanged_twice_at_once_succeeds_at_most_once(remote: RemoteClient) -> None:
    code = await remote.code()
    answers = await asyncio.gather(*(remote.exchange(code) for _ in range(5)))
    assert sum(answer.status_code == 200 for answer in answers) <= 1


async def test_stolen_code_is_useless_without_the_verifier(remote: RemoteClient) -> None:
    code = await remote.code()
    for changed in (
        {"code_verifier": "x" * 43},
        {"code_verifier": ""},
        {"client_id": "another"},
        {"redirect_uri": "https://attacker.example"},
    ):
        assert (await remote.exchange(code, **changed)).json()["error"] == "invalid_grant"
    assert (await remote.exchange(code)).status_code == 200


@pytest.mark.parametrize(
    "downgrade",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": "short"},
        {"code_challenge": "é" * 43},
    ],
)
async def test_pkce_cannot_be_left_out_or_weakened(remote: RemoteClient, downgrade: dict[str, str | None]) -> None:
    received = await remote.consent(await remote.ask(**downgrade))
    assert (received["error"], received["iss"]) == ("invalid_request", remote.issuer)


async def test_code_expires(remote: RemoteClient, admin_engine: AsyncEngine) -> None:
    code = await remote.code()
    async with admin_engine.begin() as connection:
        await connection.execute(text("update api_keys set code_until = now() where code_used_at is null"))
    assert (await remote.exchange(code)).json()["error"] == "invalid_grant"


async def test_token_for_another_resource_is_refused(remote: RemoteClient) -> None:
    """And one of this resource is refused elsewhere, on every other route of the same server."""
    refused = await remote.consent(await remote.ask(resource="https://other.example/mcp"))
    assert refused["error"] == "invalid_target"
    code = await remote.code()
    assert (await remote.exchange(code, resource="https://other.example/mcp")).json()["error"] == "invalid_target"
    tokens = (await remote.exchange(code)).json()
    for kind in ("access_token", "refresh_token"):
        for name in ("Authorization", "X-API-Key"):
            value = tokens[kind] if name == "X-API-Key" else f"Bearer {tokens[kind]}"
            for path in ("/v1/ping/", "/v1/api-keys", "/v1/auth/me", "/v1/projects"):
                response = await remote.http.get(path, headers={name: value})
                assert response.status_code in (401, 403), path
    assert (await remote.use(tokens["refresh_token"])).status_code == 401


async def test_refresh_token_is_replaced_and_its_second_use_ends_the_grant(remote: RemoteClient) -> None:
    first = await remote.tokens()
    assert (await remote.refresh(first["refresh_token"], client_id="another")).json()["error"] == "invalid_grant"
    second = (await remote.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await remote.use(second["access_token"])).status_code == 200
    assert (await remote.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await remote.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await remote.use(second["access_token"])).status_code == 401


@pytest.mark.parametrize("change", [{"client_name": "Bank"}, {"redirect_uri": "https://attacker.example"}])
async def test_request_that_was_changed_after_its_check_is_refused(
    remote: RemoteClient, resources: Resources, change: dict[str, str]
) -> None:
    sealed = (await remote.ask()).headers["location"].removeprefix("/#authorize/")
    forged = seal("request", {"scopes": [], **change}, b"another secret").partition(".")[0]
    for wrong in (f"{forged}.{sealed.partition('.')[2]}", sealed[:-2], "", "x.y"):
        response = await remote.person.post("/oauth/consent", json={"request": wrong, "approve": True})
        assert (response.status_code, response.json()["code"]) == (400, "request_expired")


async def test_server_sends_no_browser_to_an_address_that_anyone_can_register(remote: RemoteClient) -> None:
    """Whatever is wrong with a request, a person reads it on the page first (RFC 9700, open redirectors)."""
    for changed in ({"response_type": "token"}, {"scope": "x"}, {"state": "x" * 3000}, {"code_challenge": None}):
        asked = await remote.ask(**changed)
        assert (asked.status_code, asked.headers["location"].partition("#")[0]) == (302, "/"), changed
    for twice in ("redirect_uri", "client_id", "state"):
        response = await remote.http.get(f"/oauth/authorize?{twice}=x&{twice}=y&client_id={remote.client_id}")
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def test_nobody_but_a_signed_in_person_can_consent(
    remote: RemoteClient, make_key: MakeKey, oauth_app: FastAPI
) -> None:
    sealed = (await remote.ask()).headers["location"].removeprefix("/#authorize/")
    body = {"request": sealed, "approve": True}
    assert (await remote.http.post("/oauth/consent", json=body)).status_code == 401
    key = await make_key()
    async with open_client(oauth_app, key.key) as application:
        assert (await application.post("/oauth/consent", json=body)).status_code == 403
    token = (await remote.tokens())["access_token"]
    delegated = {"Authorization": f"Bearer {token}"}
    assert (await remote.http.post("/oauth/consent", json=body, headers=delegated)).status_code == 401


async def test_grant_ends_with_the_ban_of_its_person(
    remote: RemoteClient, owner: SignedUp, admin_engine: AsyncEngine
) -> None:
    remote.person = owner.client
    tokens = await remote.tokens()
    ban = text("update auth.users set banned_until = now() + interval '1 day' where id = :id")
    async with admin_engine.begin() as connection:
        await connection.execute(ban, {"id": owner.account_id})
    assert (await remote.use(tokens["access_token"])).status_code == 401


@pytest.mark.parametrize("token", ["kso_", "kso_" + "0" * 24 + "_9999999999_" + "0" * 64, "ksr_x", "ksc_x", "ksg_x"])
async def test_forged_token_is_refused(remote: RemoteClient, token: str) -> None:
    assert (await remote.use(token)).status_code == 401


async def test_secrets_are_stored_as_hashes_only(remote: RemoteClient, admin_engine: AsyncEngine) -> None:
    code = await remote.code()
    tokens = (await remote.exchange(code)).json()
    async with admin_engine.connect() as connection:
        rows = str((await connection.execute(text("select * from api_keys where client_id is not null"))).all())
    assert remote.name in rows
    for secret in (code, tokens["access_token"], tokens["refresh_token"]):
        assert secret not in rows


async def test_registration_is_off_by_default(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.post("/oauth/register", json={"redirect_uris": [CALLBACK]})
    assert (response.status_code, response.json()["error"]) == (400, "access_denied")
    server = (await anonymous.get("/.well-known/oauth-authorization-server")).json()
    assert "registration_endpoint" not in server


async def test_document_of_a_private_address_is_not_read(remote: RemoteClient, resources: Resources) -> None:
    for client_id in (
        "https://127.0.0.1/client.json",
        "https://localhost/c",
        "http://example.com/c",
        "file:///etc/passwd",
    ):
        refused = await remote.ask(client_id=client_id)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
