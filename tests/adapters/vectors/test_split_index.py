"""What an index in two halves does with several processes, lost collections and vectors of another length."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.adapters.vectors.milvus import connect_milvus
from app.adapters.vectors.split_index import SplitIndex
from app.core.database.database import Database
from app.core.errors import Unavailable
from app.core.ports import IndexEntry, SearchScope
from tests.contracts.milvus import milvus_store
from tests.contracts.vector_index import DIMENSIONS, EMBEDDER, NamespaceEntries, Store, unit


@pytest.fixture
def split(database: Database, milvus_lite: str) -> Store:
    return milvus_store(database, milvus_lite)


@pytest_asyncio.fixture
async def store(split: Store) -> AsyncIterator[Store]:
    yield split
    await split.close()


@pytest_asyncio.fixture
async def source(split: Store) -> NamespaceEntries:
    return NamespaceEntries(await split.new_project(), "home")


async def test_second_process_finds_writes_and_a_rebuilt_index_at_once(store: Store, source: NamespaceEntries) -> None:
    ours, theirs = await store.index(), await store.index()
    old, new = source.entry("old tea", 1), source.entry("new tea", 1)
    await ours.upsert([old])
    assert [each.id for each in await theirs.find_similar(source.scope(), unit(1), 5)] == [old.id]
    rebuild = await ours.start_rebuild(EMBEDDER, DIMENSIONS)
    await theirs.upsert([source.entry("coffee", 0, 1)])
    await rebuild.upsert([new])
    await rebuild.swap()
    assert len(await theirs.find_similar(source.scope(), unit(1), 5)) == 2
    found = await theirs.find_candidates(source.scope(), unit(1), "tea", 5)
    assert [each.id for each in found if each.bm25] == [new.id]


async def test_deleted_collection_is_created_again_at_the_next_start(
    store: Store, source: NamespaceEntries, database: Database, milvus_lite: str
) -> None:
    index = await store.index()
    assert isinstance(index, SplitIndex)
    await index.upsert([source.entry("tea", 1)])
    client = await connect_milvus(milvus_lite, None, database=None)
    [collection] = await index._collections.load()
    await client.delete_collection(collection.name)
    await client.close()
    assert not await index.healthy()
    with pytest.raises(Unavailable, match="Restart the server"):
        await index.find_similar(source.scope(), unit(1), 5)
    with pytest.raises(Unavailable, match="Restart the server"):
        await index.upsert([source.entry("tea", 1)])
    again = await store.reopened()
    assert await again.healthy()
    assert await again.find_candidates(source.scope(), unit(1), "tea", 5) == []
    await again.upsert([source.entry("tea", 1)])
    assert await again.count() == 1


async def test_vectors_of_another_length_are_refused(store: Store, source: NamespaceEntries) -> None:
    index = await store.index()
    with pytest.raises(Unavailable, match="another embedder"):
        await index.upsert([IndexEntry(uuid.uuid4(), source.project_id, "home", [1, 0], "tea")])
    with pytest.raises(Unavailable, match="another embedder"):
        await index.find_similar(SearchScope(source.project_id, None), [1, 0], 5)
    assert await index.count() == 0


async def test_indexes_of_two_embedders_live_side_by_side(database: Database, milvus_lite: str) -> None:
    one, other = milvus_store(database, milvus_lite), milvus_store(database, milvus_lite)
    source = NamespaceEntries(await one.new_project(), "home")
    first, second = await one.index(), await other.index("test:other", 2)
    entry = source.entry("tea", 1)
    await first.upsert([entry])
    await second.upsert([IndexEntry(entry.id, source.project_id, "home", [0, 1], "coffee")])
    assert [each.bm25 is None for each in await first.find_candidates(source.scope(), unit(1), "tea", 5)] == [False]
    await second.remove([entry.id])
    assert await second.count() == 0
    assert [each.bm25 is None for each in await first.find_candidates(source.scope(), unit(1), "tea", 5)] == [False]
    await one.close()
    await other.close()
