"""Behaviour that only a Qdrant server has: outages, old versions and rejected credentials."""

import json
from collections.abc import Callable

import httpx
import pytest
from qdrant_client import AsyncQdrantClient

from app.adapters.vectors.qdrant import QdrantIndex
from app.core.errors import ConfigurationError, Unavailable, UpstreamFailed

ALIASES = {"aliases": [{"alias_name": "keepsake", "collection_name": "keepsake-1"}]}
Answer = Callable[[httpx.Request], httpx.Response]


def server(answer: Answer, *, version: str = "1.20.1") -> AsyncQdrantClient:
    """A server behind the client's HTTP transport: opening works, and `answer` decides the rest."""

    def route(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/":
            return httpx.Response(200, json={"title": "qdrant", "version": version})
        if request.url.path == "/aliases":
            return httpx.Response(200, json={"result": ALIASES, "status": "ok", "time": 0})
        return answer(request)

    transport = httpx.MockTransport(route)
    return AsyncQdrantClient(url="http://qdrant.local:6333", transport=transport, check_compatibility=False)


def count(number: int) -> httpx.Response:
    return httpx.Response(200, json={"result": {"count": number}, "status": "ok", "time": 0})


async def test_request_is_retried_after_a_short_outage() -> None:
    troubles: list[httpx.Response | httpx.ConnectError] = [httpx.Response(503), httpx.ConnectError("refused")]

    def answer(request: httpx.Request) -> httpx.Response:
        if not troubles:
            return count(7)
        trouble = troubles.pop()
        if isinstance(trouble, httpx.ConnectError):
            raise trouble
        return trouble

    index = await QdrantIndex.open(server(answer), "test:embedder", 8)
    assert await index.count() == 7
    assert troubles == []
    await index.close()


async def test_unreachable_server_is_unavailable_and_unhealthy() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    index = await QdrantIndex.open(server(answer), "test:embedder", 8)
    with pytest.raises(Unavailable, match="QDRANT_URL"):
        await index.count()
    assert not await index.healthy()
    await index.close()


@pytest.mark.parametrize(("status", "says"), [(401, "QDRANT_API_KEY"), (403, "QDRANT_API_KEY"), (400, "status 400")])
async def test_rejected_request_is_not_retried(status: int, says: str) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(status, content=json.dumps({"status": {"error": "what was sent"}}))

    index = await QdrantIndex.open(server(answer), "test:embedder", 8)
    with pytest.raises(UpstreamFailed, match=says) as refusal:
        await index.count()
    assert "what was sent" not in refusal.value.detail
    assert len(asked) == 1
    await index.close()


@pytest.mark.parametrize("version", ["1.18.4", "1.9.0"])
async def test_server_that_counts_words_across_tenants_is_rejected(version: str) -> None:
    client = server(lambda request: count(0), version=version)
    with pytest.raises(ConfigurationError, match="or newer is needed"):
        await QdrantIndex.open(client, "test:embedder", 8)
    await client.close()
