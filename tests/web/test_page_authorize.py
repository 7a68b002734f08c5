"""A remote client of MCP gets access over the page in Chromium, uses it, and gives it back."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit

import httpx
import httpx2
import pytest
import uvicorn
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from app.core.resources import Resources
from app.main import create_app
from tests.gateways.mcp.conftest import use
from tests.patience import PATIENCE_SECONDS
from tests.web.browser import find_browser
from tests.web.test_page import run_script

CALLBACK = "http://127.0.0.1:9/callback"


@asynccontextmanager
async def serve_at_its_own_address(resources: Resources) -> AsyncIterator[str]:
    """Clients compare the addresses in the metadata with the one that they know."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = replace(resources.config, base_url=url, oauth_registration=True)
    app = create_app(replace(resources, config=config))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=2))
    running = asyncio.create_task(server.serve([listener]))
    yield url
    server.should_exit = True
    await running


@dataclass
class RemoteApplication:
    """Keeps its tokens, opens the browser, and waits at its address."""

    url: str
    tokens: OAuthToken | None = None
    registered: OAuthClientInformationFull | None = None
    returned: dict[str, str] = field(default_factory=dict)
    opened: int = 0

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.registered

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.registered = client_info

    async def open_browser(self, link: str) -> None:
        self.opened += 1
        arguments = (self.url, find_browser(), "", "1280", "light", link, CALLBACK)
        _, output = await run_script("authorize.mjs", *arguments)
        *_, returned, found = output.splitlines()
        assert found == '{"problems":[],"violations":[]}', output
        self.returned = dict(parse_qsl(urlsplit(returned).query))

    async def wait(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult.model_validate(self.returned)

    def provider(self) -> OAuthClientProvider:
        about = OAuthClientMetadata.model_validate({"client_name": "Notebook <b>x</b>", "redirect_uris": [CALLBACK]})
        return OAuthClientProvider(f"{self.url}/mcp", about, self, self.open_browser, self.wait)


@asynccontextmanager
async def connect_application(application: RemoteApplication) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(auth=application.provider(), timeout=60) as http,
        Client(streamable_http_client(f"{application.url}/mcp", http_client=http)) as client,
    ):
        yield client


@pytest.mark.long
async def test_remote_client_registers_is_allowed_acts_and_is_revoked(resources: Resources) -> None:
    async with serve_at_its_own_address(resources) as url:
        application = RemoteApplication(url)
        async with connect_application(application) as client:
            await use(client, "add_memory", text="I like green tea", infer=False)
        async with connect_application(application) as client:
            assert (await use(client, "get_memories"))["count"] == 1
        assert (application.opened, application.returned["iss"]) == (1, url), "the person was asked once"
        assert application.tokens is not None
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as plain:
            headers = {"Authorization": f"Bearer {application.tokens.access_token}"}
            assert (await plain.post("/mcp", json={}, headers=headers)).status_code != 401
            await plain.post("/oauth/revoke", data={"token": application.tokens.refresh_token})
            assert (await plain.post("/mcp", json={}, headers=headers)).status_code == 401
