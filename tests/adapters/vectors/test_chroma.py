"""Behaviour that only Chroma has: outages and refusals of its server, and what its engine does differently."""

import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.adapters.vectors.chroma import ChromaStore, connect_chroma
from app.adapters.vectors.split_index import CollectionMissingError
from app.core.errors import ConfigurationError, Unavailable, UpstreamFailed
from app.core.ports import IndexEntry, SearchScope
from tests.contracts.chroma import embedded_engine, embedded_store
from tests.contracts.vector_index import NamespaceEntries, unit

URL = "http://chroma.local:8000"
PLACE = "/api/v2/tenants/acme/databases/memories"
COLLECTION: dict[str, object] = {
    **{"id": "9c934767-4e09-43f1-ac79-f5472fd3c0ec", "name": "keepsake_1", "tenant": "acme", "database": "memories"},
    **{"configuration_json": {}, "metadata": None, "dimension": 8, "version": 0, "log_position": 0},
}
Answer = Callable[[httpx.Request], httpx.Response]


@asynccontextmanager
async def played(answer: Answer, token: str | None = None) -> AsyncIterator[ChromaStore]:
    """A server behind the transport of HTTP: it has a collection, and `answer` decides the rest."""

    def route(request: httpx.Request) -> httpx.Response:
        if request.url.path == PLACE:
            return httpx.Response(200, json={"id": "1", "name": "memories", "tenant": "acme"})
        if request.url.path == f"{PLACE}/collections/keepsake_1":
            return httpx.Response(200, json=COLLECTION)
        return answer(request)

    store = await connect(route, token)
    yield store
    await store.close()


async def connect(route: Answer, token: str | None = None) -> ChromaStore:
    transport = httpx.MockTransport(route)
    return await connect_chroma(URL, token, tenant="acme", database="memories", transport=transport)


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    with embedded_engine() as engine:
        yield engine


@pytest.fixture
def chroma(engine: Any) -> ChromaStore:
    return embedded_store(engine)


# ---------------------------------------------------------------- the server


async def test_request_is_retried_after_a_short_outage() -> None:
    troubles: list[httpx.Response | httpx.ConnectError] = [httpx.Response(503), httpx.ConnectError("refused")]

    def answer(request: httpx.Request) -> httpx.Response:
        if not troubles:
            return httpx.Response(200, json=7)
        trouble = troubles.pop()
        if isinstance(trouble, httpx.ConnectError):
            raise trouble
        return trouble

    async with played(answer) as store:
        assert await store.count("keepsake_1") == 7
    assert troubles == []


async def test_unreachable_server_is_unavailable() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with played(answer) as store:
        with pytest.raises(Unavailable, match="CHROMA_URL and that the server is running"):
            await store.has_collection("keepsake_2")


@pytest.mark.parametrize(("status", "says"), [(401, "CHROMA_TOKEN"), (403, "CHROMA_TOKEN"), (400, "InvalidArgument")])
async def test_rejected_request_is_not_retried(status: int, says: str) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(status, json={"error": "InvalidArgumentError", "message": "what was sent"})

    async with played(answer) as store:
        with pytest.raises(UpstreamFailed, match=says) as refusal:
            await store.count("keepsake_1")
    assert "what was sent" not in refusal.value.detail
    assert len(asked) == 1


async def test_missing_database_stops_the_start() -> None:
    missing = httpx.Response(404, json={"error": "NotFoundError", "message": "Database not found"})
    with pytest.raises(ConfigurationError, match=r"no database memories of the tenant acme.* CHROMA_DATABASE"):
        await connect(lambda request: missing)


async def test_address_of_another_program_stops_the_start() -> None:
    page = httpx.Response(404, html="<p>Not found</p>")
    with pytest.raises(UpstreamFailed, match=r"status 404, but not as Chroma 1\.0 or newer does"):
        await connect(lambda request: page)


async def test_token_is_sent_and_headers_of_the_environment_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMA_SERVER_HEADERS", '{"X-Other": "program"}')
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers)
        return httpx.Response(200, json=7)

    async with played(answer, "a-token") as store:
        await store.count("keepsake_1")
    assert (sent[0]["Authorization"], sent[0]["X-Chroma-Token"]) == ("Bearer a-token", "a-token")
    assert "X-Other" not in sent[0]


WATCH = """
import sys
reached = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        reached.append(arguments)
sys.addaudithook(watch)
import asyncio, httpx
from app.adapters.vectors.chroma import connect_chroma
async def main():
    database = httpx.Response(200, json={"id": "1", "name": "default_database", "tenant": "default_tenant"})
    transport = httpx.MockTransport(lambda request: database)
    place = {"tenant": "default_tenant", "database": "default_database"}
    store = await connect_chroma("http://chroma.local:8000", None, transport=transport, **place)
    await store.close()
asyncio.run(main())
print(reached)
"""


def test_client_opens_no_connection_of_its_own() -> None:
    """Telemetry would: the environment asks for both kinds that Chroma has."""
    environment = {
        "PATH": "",
        "ANONYMIZED_TELEMETRY": "true",
        "CHROMA_OTEL_GRANULARITY": "all",
        "CHROMA_OTEL_COLLECTION_ENDPOINT": "http://192.0.2.1:4317",
    }
    child = subprocess.run(
        [sys.executable, "-c", WATCH], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert child.stdout.strip() == "[]"


# ---------------------------------------------------------------- the engine


async def test_deleted_collection_says_what_to_do(chroma: ChromaStore) -> None:
    await chroma.create_collection("deleted", 8)
    assert await chroma.count("deleted") == 0
    await chroma.delete_collection("deleted")
    for _ in range(2):
        with pytest.raises(CollectionMissingError, match="Restart the server"):
            await chroma.count("deleted")
    assert not await chroma.has_collection("deleted")
    await chroma.delete_collection("deleted")


async def test_vectors_of_another_length_are_refused(chroma: ChromaStore) -> None:
    source = NamespaceEntries(uuid.uuid4(), "home")
    await chroma.create_collection("lengths", 8)
    await chroma.write("lengths", [source.entry("tea", 1)])
    with pytest.raises(Unavailable, match="another embedder"):
        await chroma.write("lengths", [IndexEntry(uuid.uuid4(), source.project_id, "home", [1, 0], "tea")])


@pytest.mark.parametrize("more", [0, 200])
async def test_unknown_ids_do_not_fail_a_search(chroma: ChromaStore, more: int) -> None:
    """Chroma fails on a filter of ids that names one which it does not have. Few and many are compared differently."""
    source = NamespaceEntries(uuid.uuid4(), "home")
    await chroma.create_collection(f"unknown-{more}", 8)
    near, chosen = source.entry("tea", 1), source.entry("tea", 1, 1)
    elsewhere = NamespaceEntries(source.project_id, "work").entry("tea", 1)
    await chroma.write(f"unknown-{more}", [near, chosen, elsewhere])
    scope = source.scope([chosen.id, elsewhere.id, *(uuid.uuid4() for _ in range(1 + more))])
    found = await chroma.find_similar(f"unknown-{more}", scope, unit(1), 5)
    assert found == {chosen.id: pytest.approx(0.7071, abs=1e-4)}


async def test_entries_are_read_completely_while_some_are_removed_and_added(chroma: ChromaStore) -> None:
    source = NamespaceEntries(uuid.uuid4(), "home")
    await chroma.create_collection("walk", 8)
    entries = source.entries(50)
    await chroma.write("walk", entries)
    seen: list[uuid.UUID] = []
    async for page in chroma.iterate_entries("walk", 10):
        seen += [each.id for each in page]
        await chroma.remove("walk", [page[0].id, page[5].id])
        await chroma.write("walk", [source.entry("more")])
    assert sorted(seen) == sorted(each.id for each in entries)
    assert await chroma.count("walk") == 45


async def test_collections_of_other_dimensions_live_side_by_side(chroma: ChromaStore) -> None:
    source = NamespaceEntries(uuid.uuid4(), "home")
    await chroma.create_collection("eight", 8)
    await chroma.create_collection("two", 2)
    entry = source.entry("tea", 1)
    await chroma.write("eight", [entry])
    await chroma.write("two", [IndexEntry(entry.id, entry.project_id, "home", [0, 1], "tea")])
    scope = SearchScope(source.project_id, None)
    assert await chroma.find_similar("eight", scope, unit(1), 5) == {entry.id: pytest.approx(1)}
    assert await chroma.find_similar("two", scope, [1, 0], 5) == {entry.id: pytest.approx(0, abs=1e-6)}
