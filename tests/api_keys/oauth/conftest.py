import secrets
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from app.api_keys.oauth.tokens import challenge_of
from app.core.resources import Resources
from app.main import create_app
from tests.conftest import PASSWORD, SignedUp, open_client

CALLBACK = "http://127.0.0.1:7777/callback"
Json = dict[str, Any]


def parameters_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@dataclass
class RemoteClient:
    """A client of OAuth that speaks for a person: it asks, the person answers on the page, it exchanges the code."""

    http: httpx.AsyncClient
    person: httpx.AsyncClient
    issuer: str
    client_id: str = ""
    name: str = field(default_factory=lambda: f"Notebook {uuid.uuid4().hex[:8]}")
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    async def register(self, **more: object) -> httpx.Response:
        body = {"client_name": self.name, "redirect_uris": [CALLBACK], **more}
        response = await self.http.post("/oauth/register", json=body)
        if response.status_code == 201:
            self.client_id = response.json()["client_id"]
        return response

    async def ask(self, **changed: str | None) -> httpx.Response:
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            "state": "st",
            "resource": f"{self.issuer}/mcp",
            **changed,
        }
        return await self.http.get("/oauth/authorize", params={k: v for k, v in query.items() if v is not None})

    async def consent(self, asked: httpx.Response, *, approve: bool = True) -> dict[str, str]:
        """What the client receives at its address."""
        sealed = asked.headers["location"].removeprefix("/#authorize/")
        response = await self.person.post("/oauth/consent", json={"request": sealed, "approve": approve})
        assert response.status_code == 200, response.text
        redirect: str = response.json()["redirect_to"]
        assert redirect.startswith(f"{CALLBACK}?")
        return parameters_of(redirect)

    async def code(self, **changed: str | None) -> str:
        return (await self.consent(await self.ask(**changed)))["code"]

    async def exchange(self, code: str, **changed: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
            **changed,
        }
        return await self.http.post("/oauth/token", data=form)

    async def refresh(self, token: str, **changed: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": self.client_id, **changed}
        return await self.http.post("/oauth/token", data=form)

    async def tokens(self, **changed: str | None) -> Json:
        response = await self.exchange(await self.code(**changed))
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    async def grants(self) -> list[Json]:
        """Those of this client that stand, as the person sees them beside the API keys."""
        listed: list[Json] = (await self.person.get("/v1/api-keys?limit=200")).json()["results"]
        return [each for each in listed if each["name"] == self.name]

    async def use(self, token: str, tool: str = "get_memories", **arguments: object) -> httpx.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        return await self.http.post("/mcp", json=body, headers=headers)


@pytest.fixture
def oauth_app(resources: Resources) -> FastAPI:
    return create_app(replace(resources, config=replace(resources.config, oauth_registration=True)))


@pytest_asyncio.fixture(scope="module")
async def grantor(app: FastAPI) -> AsyncIterator[SignedUp]:
    """A person of all tests of a module, because each sign-up hashes a password. No test may end the account."""
    async with open_client(app) as http:
        email = f"{uuid.uuid4().hex[:12]}@example.com"
        tokens = (await http.post("/v1/auth/signup", json={"email": email, "password": PASSWORD})).json()
    async with open_client(app, tokens["access_token"]) as client:
        projects = (await client.get("/v1/projects")).json()["results"]
        account = uuid.UUID(tokens["user"]["id"])
        yield SignedUp(client, account, uuid.UUID(projects[0]["id"]), email, PASSWORD, tokens)


@pytest_asyncio.fixture
async def remote(oauth_app: FastAPI, grantor: SignedUp, resources: Resources) -> AsyncIterator[RemoteClient]:
    person = open_client(oauth_app, grantor.tokens["access_token"])
    async with open_client(oauth_app) as http, person:
        client = RemoteClient(http, person, resources.config.base_url)
        assert (await client.register()).status_code == 201
        yield client
