"""Behaviour that only Milvus has: refusals of its server, filters, and slices of ids."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.adapters.vectors.milvus import MilvusStore, connect_milvus, id_slices, literals, search_filter
from app.adapters.vectors.split_index import CollectionMissingError
from app.core.errors import ConfigurationError, Unavailable, UpstreamFailed
from app.core.ports import SearchScope
from tests.contracts.milvus import MilvusServer
from tests.contracts.vector_index import NamespaceEntries, unit
from tests.loopback import free_port

HOSTILE = ('"] or id != "', "\\", '" or 1 == 1 or "', "' in [", "{scope}", "a" * 70_000, "日本", "\x00")


@pytest_asyncio.fixture
async def milvus(milvus_lite: str) -> AsyncIterator[MilvusStore]:
    store = await connect_milvus(milvus_lite, None, database=None)
    yield store
    await store.close()


async def new_collection(store: MilvusStore) -> str:
    name = f"test_{uuid.uuid4().hex[:12]}"
    await store.create_collection(name, 8)
    return name


async def test_names_of_namespaces_cannot_widen_a_search(milvus: MilvusStore) -> None:
    name, project = await new_collection(milvus), uuid.uuid4()
    home = NamespaceEntries(project, "home")
    await milvus.write(name, [home.entry("tea", 1)])
    for namespace in HOSTILE:
        found = await milvus.find_similar(name, SearchScope(project, (namespace,)), unit(1), 5)
        assert found == {}, namespace
    for namespace in HOSTILE[:3]:
        entry = NamespaceEntries(project, namespace).entry("tea", 0, 1)
        await milvus.write(name, [entry])
        assert list(await milvus.find_similar(name, SearchScope(project, (namespace,)), unit(1), 5)) == [entry.id]


def test_filters_contain_only_digits_and_dashes() -> None:
    scope = SearchScope(uuid.uuid4(), HOSTILE, (uuid.uuid4(),))
    values = search_filter(scope).split('"')[1::2]
    assert len(values) == len(HOSTILE) + 1
    assert all(set(value) <= set("0123456789abcdef-") for value in values)
    assert literals([]) == "[]"


async def test_deleted_collection_says_what_to_do(milvus: MilvusStore) -> None:
    name = await new_collection(milvus)
    assert await milvus.count(name) == 0
    await milvus.delete_collection(name)
    with pytest.raises(CollectionMissingError, match="Restart the server"):
        await milvus.count(name)
    with pytest.raises(CollectionMissingError, match="Restart the server"):
        await milvus.find_similar(name, SearchScope(uuid.uuid4(), None), unit(1), 5)
    assert not await milvus.has_collection(name)
    await milvus.delete_collection(name)


async def test_unreachable_server_is_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable, match="Check MILVUS_URL and that the server is running"):
        await connect_milvus(url, None, database=None, timeout_seconds=0.5)


@pytest.mark.parametrize("count", [0, 2_000, 2_001, 40_000, 300_000])
def test_slices_of_ids_cover_every_id_once(count: int) -> None:
    slices = [tuple(each.split('"')[1::2]) for each in id_slices(count)]
    assert count / len(slices) <= 2_000
    for id in [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), *(uuid.uuid4() for _ in range(100))]:
        assert sum(start <= str(id) < end for start, end in slices) == 1


@pytest.mark.long
async def test_entries_of_several_slices_are_listed_once(milvus: MilvusStore) -> None:
    name, source = await new_collection(milvus), NamespaceEntries(uuid.uuid4(), "home")
    entries = source.entries(5_000)
    await milvus.write(name, entries)
    listed = [each async for page in milvus.iterate_entries(name, 700) for each in page]
    assert sorted(each.id for each in listed) == sorted(each.id for each in entries)


# ---------------------------------------------------------------- the real server


@pytest.mark.long
async def test_database_that_does_not_exist_stops_the_start(milvus_server: str) -> None:
    with pytest.raises(ConfigurationError, match="MILVUS_DATABASE names a database that the server does not have"):
        await connect_milvus(milvus_server, None, database="elsewhere")


@pytest.mark.long
async def test_wrong_token_names_the_setting(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = MilvusServer(tmp_path_factory.mktemp("locked"), {"authorization_enabled": True})
    server.start()
    try:
        with pytest.raises(UpstreamFailed, match="Check MILVUS_TOKEN"):
            await connect_milvus(server.url, "root:wrong", database=None)
        with pytest.raises(UpstreamFailed, match="Check MILVUS_TOKEN"):
            await connect_milvus(server.url, None, database=None)
        store = await connect_milvus(server.url, "root:Milvus", database=None)
        assert not await store.has_collection("nothing")
        await store.close()
    finally:
        server.kill()
