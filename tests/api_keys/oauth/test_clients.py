"""Clients that publish a document about themselves."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from app.adapters.webhook_client import HttpWebhookClient
from app.api_keys.oauth.clients import OAuthClient, find_client
from app.api_keys.oauth.errors import OAuthError
from app.core.resources import Resources
from tests.api_keys.oauth.conftest import CALLBACK, Json
from tests.patience import PATIENCE_SECONDS


@asynccontextmanager
async def publishing(document: Json | bytes) -> AsyncIterator[str]:
    """`$URL` in the document is its own address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        text = document if isinstance(document, bytes) else json.dumps(document).replace("$URL", url).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(text)
        writer.write(text if text.startswith(b"HTTP/") else head + text)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/client.json"
    async with server:
        yield url


async def find(resources: Resources, url: str, *, allow_private: bool = True) -> OAuthClient:
    reader = HttpWebhookClient(allow_private=allow_private, timeout_seconds=PATIENCE_SECONDS)
    config = replace(resources.config, webhook_allow_private=True)
    try:
        return await find_client(replace(resources, config=config, webhook_client=reader), url)
    finally:
        await reader.close()


WHOLE: Json = {"client_id": "$URL", "client_name": "Notebook", "redirect_uris": [CALLBACK], "logo_uri": "x"}


async def test_document_describes_its_client_and_the_person_sees_who_answers_for_it(resources: Resources) -> None:
    async with publishing(WHOLE) as url:
        client = await find(resources, url)
    assert (client.client_id, client.redirect_uris) == (url, [CALLBACK])
    assert client.shown_name == "Notebook (127.0.0.1)"


@pytest.mark.parametrize(
    "document",
    [
        {**WHOLE, "client_id": "https://bank.example/client.json"},
        {**WHOLE, "redirect_uris": []},
        {**WHOLE, "redirect_uris": ["javascript:alert(1)"]},
        {**WHOLE, "token_endpoint_auth_method": "client_secret_basic"},
        {**WHOLE, "redirect_uris": ["https://a.example/\tcb"]},
        b"no json",
        b"[" * 60_000,
        b" " * 70_000,
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["of another", "no address", "script", "secret", "tab", "no json", "deep", "large", "redirect", "missing"],
)
async def test_document_that_is_not_about_its_client_is_refused(resources: Resources, document: Json | bytes) -> None:
    async with publishing(document) as url:
        with pytest.raises(OAuthError):
            await find(resources, url)


async def test_name_cannot_look_like_that_of_another_client(resources: Resources) -> None:
    """The host is shown always, and characters that hide or turn what follows are left out."""
    name = "127.0.0.1 of Bank\u202e\u200b\n"
    async with publishing({**WHOLE, "client_name": name}) as url:
        client = await find(resources, url)
    assert client.shown_name == "127.0.0.1 of Bank (127.0.0.1)"


@pytest.mark.parametrize("change", ["user@", "user:pw@", "."], ids=["user", "password", "dots"])
async def test_address_of_a_document_is_plain(resources: Resources, change: str) -> None:
    async with publishing({**WHOLE, "client_id": "$URL"}) as url:
        wrong = url.replace("client.json", "./client.json") if change == "." else url.replace("//", f"//{change}")
        with pytest.raises(OAuthError, match="neither registered nor"):
            await find(resources, wrong)


async def test_document_at_a_private_address_is_not_read(resources: Resources) -> None:
    async with publishing(WHOLE) as url:
        with pytest.raises(OAuthError, match="could not be read"):
            await find(resources, url, allow_private=False)
