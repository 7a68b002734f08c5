"""The server of Chroma is killed, goes away and comes back, and other processes use it, too."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from app.adapters.vectors.chroma import ChromaStore
from app.core.errors import Unavailable
from tests.contracts.chroma import ChromaProcess, chroma_process
from tests.contracts.vector_index import NamespaceEntries

pytestmark = pytest.mark.long
KILLS, WRITERS, BATCH = 3, 4, 20


@pytest_asyncio.fixture
async def chroma_server(tmp_path: Path) -> AsyncIterator[ChromaProcess]:
    async with chroma_process(tmp_path / "chroma") as process:
        yield process


async def write_until_killed(store: ChromaStore, source: NamespaceEntries, acknowledged: set[uuid.UUID]) -> None:
    with contextlib.suppress(Unavailable):
        while True:
            entries = source.entries(BATCH)
            await store.write("killed", entries)
            acknowledged.update(each.id for each in entries)


async def test_nothing_acknowledged_is_lost_by_kills(chroma_server: ChromaProcess) -> None:
    acknowledged: set[uuid.UUID] = set()
    source = NamespaceEntries(uuid.uuid4(), "home")
    for _ in range(KILLS):
        store = await chroma_server.connect()
        await store.create_collection("killed", 8)
        before = len(acknowledged)
        writers = [asyncio.create_task(write_until_killed(store, source, acknowledged)) for _ in range(WRITERS)]
        while len(acknowledged) < before + 300:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        chroma_server.kill()
        await asyncio.gather(*writers)
        await store.close()
        await chroma_server.start()
    store = await chroma_server.connect()
    assert await store.find_existing("killed", list(acknowledged)) == acknowledged
    seen = {each.id async for page in store.iterate_entries("killed", 500) for each in page}
    assert acknowledged <= seen
    found = await store.find_similar("killed", source.scope(), source.direction(), len(seen))
    assert acknowledged <= found.keys()
    await store.close()


async def test_store_works_again_after_its_server_came_back(chroma_server: ChromaProcess) -> None:
    store, source = await chroma_server.connect(), NamespaceEntries(uuid.uuid4(), "home")
    await store.create_collection("away", 8)
    entry = source.entry("tea", 1)
    await store.write("away", [entry])
    chroma_server.kill()
    with pytest.raises(Unavailable, match="CHROMA_URL and that the server is running"):
        await store.find_similar("away", source.scope(), source.direction(), 5)
    await chroma_server.start()
    assert set(await store.find_similar("away", source.scope(), source.direction(), 5)) == {entry.id}
    await store.close()


async def test_another_process_finds_at_once_what_was_written(chroma_server: ChromaProcess) -> None:
    one, other = await chroma_server.connect(), await chroma_server.connect()
    source = NamespaceEntries(uuid.uuid4(), "home")
    await one.create_collection("shared", 8)
    for _ in range(50):
        entry = source.entry("tea")
        await one.write("shared", [entry])
        assert next(iter(await other.find_similar("shared", source.scope(), entry.vector, 1))) == entry.id
        await other.remove("shared", [entry.id])
        assert entry.id not in await one.find_similar("shared", source.scope(), entry.vector, 1)
    await one.close()
    await other.close()


async def test_server_opens_no_connection_to_others(chroma_server: ChromaProcess) -> None:
    store = await chroma_server.connect()
    await store.create_collection("quiet", 8)
    await store.write("quiet", NamespaceEntries(uuid.uuid4(), "home").entries(10))
    peers = {each.raddr.ip for each in psutil.Process(chroma_server.pid).net_connections("inet") if each.raddr}
    assert peers <= {"127.0.0.1"}
    await store.close()
