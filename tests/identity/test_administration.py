"""What a second factor protects, and what anonymous accounts may do, on every administrative route."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from jose import jwt

from app.core.resources import Resources
from app.identity.local.security.keys import load_or_create_keys
from app.main import create_app
from app.settings import Settings
from tests.conftest import PASSWORD, SignedUp, SignUp, open_client
from tests.identity.local.authenticator import Authenticator

ADMINISTERED = re.compile(
    r"/v1/(api-keys|projects|organizations|invitations|admin|usage)|/api/v1/(orgs|webhooks)/|/v2/profiles/settings/"
)
BY_INVITED_PEOPLE = {"/v1/invitations/{invitation_id}/accept", "/v1/invitations/{invitation_id}/decline"}


def administrative_routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Everything that writes there. A new route is covered without a line here."""
    for path, item in app.openapi()["paths"].items():
        if ADMINISTERED.match(path) and path not in BY_INVITED_PEOPLE:
            yield from ((method.upper(), path) for method in item if method != "get")
    yield "POST", "/oauth/consent"


async def refusals(app: FastAPI, client: httpx.AsyncClient) -> dict[str, str]:
    """The codes of administrative routes that name nothing that exists."""
    found = {}
    for method, path in administrative_routes(app):
        url = re.sub(r"\{\w+\}", str(uuid.uuid4()), path)
        answer = await client.request(method, url, json={})
        body = answer.json()
        found[f"{method} {path}"] = f"{answer.status_code} {body.get('code', body.get('error_code'))}"
    return found


async def enroll(client: httpx.AsyncClient) -> Authenticator:
    made = await client.post("/v1/auth/mfa/factors", json={"name": "Telephone"})
    assert made.status_code == 201, made.text
    return Authenticator(made.json()["id"], made.json()["secret"])


async def confirm(client: httpx.AsyncClient, app: Authenticator) -> dict[str, object]:
    body = {"factor_id": app.factor_id, "code": app.next_code()}
    answer = await client.post("/v1/auth/mfa/verify", json=body)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, object] = answer.json()
    client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    return tokens


@pytest_asyncio.fixture
async def careful(owner: SignedUp) -> tuple[SignedUp, Authenticator]:
    """An account with a second factor, signed in with its password alone."""
    app = await enroll(owner.client)
    await confirm(owner.client, app)
    signed_in = await owner.client.post("/v1/auth/login", json={"email": owner.email, "password": PASSWORD})
    tokens = signed_in.json()
    assert tokens["second_factor_required"] is True
    assert [factor["is_verified"] for factor in tokens["user"]["factors"]] == [True]
    owner.client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    return owner, app


async def test_password_alone_administers_nothing(app: FastAPI, careful: tuple[SignedUp, Authenticator]) -> None:
    person, authenticator = careful
    codes = await refusals(app, person.client)
    assert len(codes) > 35
    assert {route: code for route, code in codes.items() if code != "403 second_factor_required"} == {}
    refused = await person.client.delete("/v1/auth/me")
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
    assert "POST /v1/auth/mfa/verify" in refused.json()["detail"]

    for path in ("/v1/admin/audit", "/v1/admin/usage"):
        assert (await person.client.get(path)).status_code == 403
    assert (await person.client.get("/v1/projects")).status_code == 200
    assert (await person.client.get("/v1/api-keys")).status_code == 200
    added = await person.client.post("/v1/memories/", json={"messages": [{"role": "user", "content": "I like tea."}]})
    assert added.status_code != 403

    tokens = await confirm(person.client, authenticator)
    assert tokens["second_factor_required"] is False
    assert "403 second_factor_required" not in (await refusals(app, person.client)).values()
    assert (await person.client.post("/v1/api-keys", json={"name": "CI"})).status_code == 201
    assert (await person.client.delete("/v1/auth/me")).status_code == 200


async def test_password_alone_erases_no_user(app: FastAPI, careful: tuple[SignedUp, Authenticator]) -> None:
    person, authenticator = careful
    subject = {"user_id": str(person.account_id)}
    for refused in (
        await person.client.post("/v1/erase", json=subject),
        await person.client.delete(f"/v2/entities/user/{person.account_id}/"),
        await person.client.delete("/v1/entities/user/1/"),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
    await confirm(person.client, authenticator)
    assert (await person.client.post("/v1/erase", json=subject)).status_code == 200
    key = (await person.client.post("/v1/api-keys", json={"name": "CI"})).json()["key"]
    async with open_client(app, key) as client:
        assert (await client.post("/v1/erase", json=subject)).status_code == 200
        assert (await client.delete(f"/v2/entities/user/{person.account_id}/")).status_code == 200


async def test_account_without_a_factor_administers_as_before(app: FastAPI, owner: SignedUp) -> None:
    await enroll(owner.client)  # not verified
    assert "403 second_factor_required" not in (await refusals(app, owner.client)).values()
    assert (await owner.client.post("/v1/api-keys", json={"name": "CI"})).status_code == 201


async def test_key_that_an_account_made_keeps_working(app: FastAPI, owner: SignedUp) -> None:
    body = {"name": "CI", "scopes": ["keys:write", "keys:read", "memories:read"]}
    key = (await owner.client.post("/v1/api-keys", json=body)).json()["key"]
    await confirm(owner.client, await enroll(owner.client))
    async with open_client(app, key) as client:
        assert (
            await client.post("/v1/api-keys", json={"name": "Next", "scopes": ["memories:read"]})
        ).status_code == 201


async def test_policy_can_be_lifted(resources: Resources, careful: tuple[SignedUp, Authenticator]) -> None:
    person, _ = careful
    lenient = create_app(replace(resources, config=replace(resources.config, second_factor_required=False)))
    async with open_client(lenient, person.client.headers["Authorization"].removeprefix("Bearer ")) as client:
        assert (await client.post("/v1/api-keys", json={"name": "CI"})).status_code == 201


@pytest.fixture
def anonymous_token(owner: SignedUp, settings: Settings) -> str:
    """The token of an account that signed in anonymously, at either provider."""
    claims = jwt.get_unverified_claims(owner.tokens["access_token"])
    return load_or_create_keys(settings.data_dir / "identity").sign({**claims, "is_anonymous": True})


async def test_anonymous_account_administers_nothing(app: FastAPI, anonymous_token: str) -> None:
    async with open_client(app, anonymous_token) as client:
        codes = await refusals(app, client)
        assert {route: code for route, code in codes.items() if code != "403 anonymous_account"} == {}
        assert (await client.get("/v1/projects")).status_code == 200
        assert (await client.delete("/v1/auth/me")).status_code == 200


async def test_anonymous_accounts_can_be_allowed(resources: Resources, anonymous_token: str) -> None:
    config = replace(resources.config, anonymous_administration=True)
    async with open_client(create_app(replace(resources, config=config)), anonymous_token) as client:
        assert (await client.post("/v1/api-keys", json={"name": "CI"})).status_code == 201


async def test_factors_of_an_account(sign_up: SignUp) -> None:
    person = await sign_up()
    app = await enroll(person.client)
    again = await person.client.post("/v1/auth/mfa/factors", json={"name": "Telephone"})
    assert (again.status_code, again.json()["code"]) == (409, "mfa_factor_name_conflict")
    challenge = await person.client.post("/v1/auth/mfa/challenge", json={"factor_id": app.factor_id})
    assert challenge.status_code == 201
    wrong = {"factor_id": app.factor_id, "challenge_id": challenge.json()["id"], "code": "nothing"}
    refused = await person.client.post("/v1/auth/mfa/verify", json=wrong)
    assert (refused.status_code, refused.json()["code"]) == (422, "mfa_verification_failed")
    await confirm(person.client, app)
    shown = await person.client.get("/v1/auth/mfa/factors")
    assert shown.json() == [{"id": app.factor_id, "type": "totp", "name": "Telephone", "is_verified": True}]
    assert (await person.client.delete(f"/v1/auth/mfa/factors/{app.factor_id}")).status_code == 200
    assert (await person.client.get("/v1/auth/mfa/factors")).json() == []
