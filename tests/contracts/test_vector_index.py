"""The contract of the VectorIndex port, run against every adapter."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.core.errors import Conflict, Unavailable
from app.core.ports import MESSAGES, IndexEntry, SearchScope, VectorIndex
from tests.contracts.chroma import ChromaProcess, chroma_process, chroma_store, embedded_engine, split_store
from tests.contracts.milvus import milvus_store
from tests.contracts.vector_index import (
    DIMENSIONS,
    EMBEDDER,
    NamespaceEntries,
    Store,
    by_id,
    cosine,
    edge_store,
    empty_pgvector,
    pgvector_store,
    qdrant_store,
    unit,
)

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
NEEDED_FIXTURES = {
    "pgvector": ["database"],
    "chroma": ["database", "chroma_engine"],
    "chroma-run": ["database", "chroma_server"],
    "milvus": ["database", "milvus_lite"],
    "milvus-server": ["database", "milvus_server"],
}


LONG = [pytest.param("chroma-run", marks=pytest.mark.long), pytest.param("milvus-server", marks=pytest.mark.long)]


@pytest.fixture(params=["edge", "qdrant", "pgvector", "chroma", "milvus", *LONG])
def store_name(request: pytest.FixtureRequest) -> str:
    # Here and not below: an async fixture cannot wait for another that it asks for by name.
    for needed in NEEDED_FIXTURES.get(request.param, ()):
        request.getfixturevalue(needed)
    return str(request.param)


@pytest.fixture(scope="module")
def chroma_engine() -> Iterator[Any]:
    with embedded_engine() as engine:
        yield engine


@pytest_asyncio.fixture(scope="module")
async def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ChromaProcess]:
    async with chroma_process(tmp_path_factory.mktemp("chroma")) as process:
        yield process


@pytest_asyncio.fixture
async def store(store_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if store_name == "pgvector":
        database = request.getfixturevalue("database")
        await empty_pgvector(database)
        made = pgvector_store(database)
    elif store_name == "chroma":
        made = chroma_store(request.getfixturevalue("database"), request.getfixturevalue("chroma_engine"))
    elif store_name == "chroma-run":
        server: ChromaProcess = request.getfixturevalue("chroma_server")
        made = split_store(request.getfixturevalue("database"), server.connect)
    elif store_name.startswith("milvus"):
        _, address = NEEDED_FIXTURES[store_name]
        made = milvus_store(request.getfixturevalue("database"), request.getfixturevalue(address))
    else:
        made = edge_store(tmp_path / "index") if store_name == "edge" else qdrant_store()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def index(store: Store) -> VectorIndex:
    return await store.index()


@pytest_asyncio.fixture
async def source(store: Store) -> NamespaceEntries:
    return NamespaceEntries(await store.new_project(), "home")


# ---------------------------------------------------------------- writing


async def test_upserted_entries_are_found(index: VectorIndex, source: NamespaceEntries) -> None:
    cat, dog = source.entry("the cat sleeps", 1), source.entry("the dog barks", 0, 1)
    await index.upsert([cat, dog])
    found = await index.find_candidates(source.scope(), unit(1, 0.1), "cat", 10)
    assert [each.id for each in found] == [cat.id, dog.id]


async def test_second_upsert_of_an_id_replaces_the_first(index: VectorIndex, source: NamespaceEntries) -> None:
    first = source.entry("tea", 1)
    await index.upsert([first])
    await index.upsert([IndexEntry(first.id, source.project_id, "work", unit(0, 1), "coffee")])
    assert await index.find_candidates(source.scope(), unit(1), "tea", 5) == []
    (found,) = await index.find_candidates(SearchScope(source.project_id, ("work",)), unit(0, 1), "coffee", 5)
    assert found.id == first.id
    assert found.similarity == pytest.approx(1, abs=1e-4)
    assert found.bm25 is not None
    assert await index.count() == 1


async def test_last_entry_of_an_id_in_a_batch_counts(index: VectorIndex, source: NamespaceEntries) -> None:
    first = source.entry("tea", 1)
    await index.upsert([first, source.entry("coffee", 0, 1, id=first.id)])
    (found,) = await index.find_candidates(source.scope(), unit(0, 1), "coffee", 5)
    assert found.similarity == pytest.approx(1, abs=1e-4)


async def test_removed_entries_are_not_found(index: VectorIndex, source: NamespaceEntries) -> None:
    kept, removed = source.entry("green tea", 1), source.entry("black tea", 0, 1)
    await index.upsert([kept, removed])
    await index.remove([removed.id, uuid.uuid4()])
    assert [each.id for each in await index.find_candidates(source.scope(), unit(0, 1), "black", 5)] == [kept.id]
    assert await index.find_existing([kept.id, removed.id, uuid.uuid4()]) == {kept.id}


async def test_empty_writes_are_accepted(index: VectorIndex) -> None:
    await index.upsert([])
    await index.remove([])
    assert await index.find_existing([]) == set()
    assert await index.count() == 0


# ---------------------------------------------------------------- searching


async def test_candidates_of_both_kinds_have_both_scores(index: VectorIndex, source: NamespaceEntries) -> None:
    near = [source.entry("nothing alike", 1, 0.01 * n) for n in range(3)]
    wordy = [source.entry("zebra crossing", -1, 0.01 * n) for n in range(3)]
    await index.upsert([*near, *wordy])
    found = by_id(await index.find_candidates(source.scope(), unit(1), "zebra", 3))
    assert set(found) == {each.id for each in [*near, *wordy]}
    for entry in [*near, *wordy]:
        assert found[entry.id].similarity == pytest.approx(cosine(entry.vector, unit(1)), abs=1e-4)
    assert all((found[each.id].bm25 or 0) > 0 for each in wordy)
    assert all(found[each.id].bm25 is None for each in near)


async def test_near_candidate_has_its_bm25_score_though_others_match_better(
    index: VectorIndex, source: NamespaceEntries
) -> None:
    near = source.entry("tea with a great many other words that make it a worse match", 1)
    better = [source.entry("tea tea tea", -1, 0.1 * n) for n in range(4)]
    await index.upsert([near, *better])
    found = by_id(await index.find_candidates(source.scope(), unit(1), "tea", 1))
    assert len(found) == 2
    assert found[near.id].bm25 is not None


async def test_rarer_and_repeated_words_score_higher(index: VectorIndex, source: NamespaceEntries) -> None:
    rare, common, twice = source.entry("walrus", -1), source.entry("tea", -1, 1), source.entry("tea tea", -1, 2)
    await index.upsert([rare, common, twice, *[source.entry("tea party", -1, 3 + n) for n in range(10)]])
    found = by_id(await index.find_candidates(source.scope(), unit(1), "tea walrus", 20))
    scores = [found[each.id].bm25 or 0 for each in (rare, twice, common)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


async def test_find_similar_ignores_words(index: VectorIndex, source: NamespaceEntries) -> None:
    entries = [source.entry("tea", 1, 0.1 * n) for n in range(5)]
    await index.upsert(entries)
    found = await index.find_similar(source.scope(), unit(1), 3)
    assert [each.id for each in found] == [each.id for each in entries[:3]]
    assert all(each.bm25 is None for each in found)


async def test_load_vectors_returns_only_those_of_the_project(
    index: VectorIndex, store: Store, source: NamespaceEntries
) -> None:
    mine, other = source.entries(3), NamespaceEntries(await store.new_project(), "home").entries(1)
    await index.upsert([*mine, *other])
    found = await index.load_vectors(source.project_id, [mine[0].id, mine[2].id, other[0].id, uuid.uuid4()])
    assert set(found) == {mine[0].id, mine[2].id}
    assert all(cosine(found[each.id], each.vector) == pytest.approx(1, abs=1e-4) for each in (mine[0], mine[2]))
    assert await index.load_vectors(source.project_id, []) == {}


@pytest.mark.parametrize("size", [100, 1_000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_search_returns_all_ten_expected_results(index: VectorIndex, source: NamespaceEntries, size: int) -> None:
    entries = source.entries(size)
    await index.upsert([*entries, *NamespaceEntries(source.project_id, "elsewhere").entries(200)])
    for _ in range(3):
        question = source.direction()
        expected = sorted(entries, key=lambda entry: -cosine(entry.vector, question))[:10]
        found = await index.find_similar(source.scope(), question, 10)
        assert [each.id for each in found] == [each.id for each in expected]
    words = await index.find_candidates(source.scope(), source.direction(), "word17", 1)
    assert entries[17].id in {each.id for each in words if each.bm25}


# ---------------------------------------------------------------- scopes


async def test_search_never_mixes_namespaces(index: VectorIndex, store: Store, source: NamespaceEntries) -> None:
    work, foreign = NamespaceEntries(source.project_id, "work"), NamespaceEntries(await store.new_project(), "home")
    entries = {each.namespace + str(each.project_id): each.entry("secret tea", 1) for each in (source, work, foreign)}
    await index.upsert(list(entries.values()))
    for each in (source, work, foreign):
        expected = [entries[each.namespace + str(each.project_id)].id]
        assert [found.id for found in await index.find_candidates(each.scope(), unit(1), "tea", 10)] == expected
        assert [found.id for found in await index.find_similar(each.scope(), unit(1), 10)] == expected


async def test_search_covers_several_namespaces_or_a_whole_project(
    index: VectorIndex, store: Store, source: NamespaceEntries
) -> None:
    work, other = NamespaceEntries(source.project_id, "work"), NamespaceEntries(source.project_id, "other")
    foreign = NamespaceEntries(await store.new_project(), "home")
    entries = [each.entry("tea", 1, 0.1 * n) for n, each in enumerate((source, work, other, foreign))]
    await index.upsert(entries)
    two = await index.find_candidates(SearchScope(source.project_id, ("home", "work")), unit(1), "tea", 10)
    assert [each.id for each in two] == [each.id for each in entries[:2]]
    whole = await index.find_candidates(SearchScope(source.project_id, None), unit(1), "tea", 10)
    assert [each.id for each in whole] == [each.id for each in entries[:3]]
    assert await index.find_candidates(SearchScope(source.project_id, ()), unit(1), "tea", 10) == []


async def test_search_of_a_whole_project_reads_no_messages(
    index: VectorIndex, store: Store, source: NamespaceEntries
) -> None:
    said = NamespaceEntries(source.project_id, f"home{MESSAGES}mine")
    memory, message = source.entry("tea", 0.5), said.entry("tea walrus", 1)
    await index.upsert([memory])
    whole = SearchScope(source.project_id, None)
    before = await index.find_candidates(whole, unit(1), "walrus tea", 10)
    await index.upsert([message])
    assert await index.find_candidates(whole, unit(1), "walrus tea", 10) == before
    assert [each.id for each in await index.find_candidates(said.scope(), unit(1), "tea", 10)] == [message.id]
    assert set(await index.load_vectors(source.project_id, [memory.id, message.id])) == {memory.id, message.id}
    owners = {each.id: each.project_id async for page in index.iterate_entries() for each in page}
    assert (owners[memory.id], owners[message.id]) == (source.project_id, source.project_id)


async def test_search_by_words_alone_returns_what_contains_them(index: VectorIndex, source: NamespaceEntries) -> None:
    both, one, none = source.entry("walrus tea", -1), source.entry("tea", 1), source.entry("milk", 1)
    foreign = NamespaceEntries(source.project_id, "foreign").entry("walrus tea", 1)
    await index.upsert([both, one, none, foreign])
    found = await index.find_by_words(source.scope(), "tea with a walrus", 10)
    assert [(each.id, each.similarity) for each in found] == [(both.id, None), (one.id, None)]
    assert [each.id for each in await index.find_by_words(source.scope([one.id]), "walrus tea", 10)] == [one.id]
    assert await index.find_by_words(source.scope(), "of the", 10) == []


async def test_share_of_words_reads_words_as_the_index_does(index: VectorIndex) -> None:
    shares = index.share_of_words("Where is the walrus's tea?", ["Walrus teas", "tea", "milk", ""])
    assert shares == [1.0, 0.5, 0.0, 0.0]
    assert index.share_of_words("of the", ["tea"]) == [0.0]


async def test_search_can_be_restricted_to_thousands_of_ids(index: VectorIndex, source: NamespaceEntries) -> None:
    near, chosen = source.entry("tea", 1), source.entry("tea", -1)
    await index.upsert([near, chosen])
    only = [chosen.id, *(uuid.uuid4() for _ in range(5_000))]
    assert [each.id for each in await index.find_candidates(source.scope(only), unit(1), "tea", 10)] == [chosen.id]
    assert [each.id for each in await index.find_similar(source.scope(only), unit(1), 10)] == [chosen.id]
    assert await index.find_candidates(source.scope([]), unit(1), "tea", 10) == []


async def test_restricting_a_search_does_not_change_bm25_scores(index: VectorIndex, source: NamespaceEntries) -> None:
    entries = [source.entry("tea" if n % 2 else "tea walrus", 1, 0.1 * n) for n in range(6)]
    await index.upsert(entries)
    whole = by_id(await index.find_candidates(source.scope(), unit(1), "walrus tea", 10))
    (narrowed,) = await index.find_candidates(source.scope([entries[0].id]), unit(1), "walrus tea", 10)
    assert narrowed.bm25 == pytest.approx(whole[entries[0].id].bm25)


async def test_words_of_other_tenants_do_not_change_scores(
    index: VectorIndex, store: Store, source: NamespaceEntries
) -> None:
    entries = [source.entry("walrus tea", 1), source.entry("tea", 0, 1), source.entry("plain water", 0, 0, 1)]
    await index.upsert(entries)
    alone = await index.find_candidates(source.scope(), unit(1), "walrus tea", 10)
    neighbours = [NamespaceEntries(source.project_id, "work"), NamespaceEntries(await store.new_project(), "home")]
    for neighbour in neighbours:
        await index.upsert([neighbour.entry("walrus walrus pudding") for _ in range(30)])
    beside_others = await index.find_candidates(source.scope(), unit(1), "walrus tea", 10)
    assert [each.id for each in beside_others] == [each.id for each in alone]
    for before, after in zip(alone, beside_others, strict=True):
        assert after.bm25 == (None if before.bm25 is None else pytest.approx(before.bm25, rel=1e-5))


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("tea", "tea"),
        ("I went hiking in the mountains", "hikes"),
        ("Je préfère un café noir", "CAFE"),
        ("Моя кошка живёт в Москве", "москве"),
        ("昨日東京に行きました", "東京"),
        ("我的猫很可爱", "猫"),
        ("สวัสดีครับ", "สวัสดี"),
        ("고양이를 좋아해요", "고양이"),
        ("القط الأسود", "الأسود"),
        ("party 🎉🎉 tonight", "🎉 party"),
    ],
)
async def test_words_of_any_language_are_found(
    index: VectorIndex, source: NamespaceEntries, said: str, asked: str
) -> None:
    entry = source.entry(said, -1)
    await index.upsert([entry, *[source.entry("unrelated", 1, 0.1 * n) for n in range(5)]])
    found = by_id(await index.find_candidates(source.scope(), unit(1), asked, 2))
    assert (found[entry.id].bm25 or 0) > 0


@pytest.mark.parametrize("odd", ["", " ", "🎉", "the", "\x01\x02", "a" * 20_000])
async def test_unusual_texts_can_be_stored_and_searched(index: VectorIndex, source: NamespaceEntries, odd: str) -> None:
    entry = source.entry(odd, 1)
    await index.upsert([entry])
    (found,) = await index.find_candidates(source.scope(), unit(1), odd, 5)
    assert found.id == entry.id
    assert found.similarity == pytest.approx(1, abs=1e-4)
    (found,) = await index.find_candidates(source.scope(), unit(1), "tea", 5)
    assert found.bm25 is None


async def test_empty_index_finds_nothing(index: VectorIndex, source: NamespaceEntries) -> None:
    assert await index.find_candidates(source.scope(), unit(1), "tea", 5) == []
    assert await index.find_similar(source.scope(), unit(1), 5) == []
    assert [page async for page in index.iterate_entries()] == []
    assert await index.healthy()


# ---------------------------------------------------------------- upkeep


async def test_iterate_entries_returns_every_entry_once(
    index: VectorIndex, store: Store, source: NamespaceEntries
) -> None:
    entries = [*source.entries(25), *NamespaceEntries(await store.new_project(), "home").entries(5)]
    await index.upsert(entries)
    pages = [page async for page in index.iterate_entries(batch=10)]
    assert [len(page) for page in pages] == [10, 10, 10]
    assert {(each.id, each.project_id) for page in pages for each in page} == {(e.id, e.project_id) for e in entries}
    assert await index.count() == 30


async def test_searches_run_during_writes(index: VectorIndex, source: NamespaceEntries) -> None:
    standing = source.entry("tea", 1)
    await index.upsert([standing])
    searches = asyncio.gather(*[index.find_candidates(source.scope(), unit(1), "tea", 5) for _ in range(5)])
    await asyncio.gather(*[index.upsert(source.entries(40)) for _ in range(3)], index.run_housekeeping())
    assert all(standing.id in by_id(found) for found in await searches)
    assert await index.count() == 121


async def test_reopened_index_holds_every_entry(store: Store, index: VectorIndex, source: NamespaceEntries) -> None:
    kept, removed = source.entry("tea", 1), source.entry("coffee", 0, 1)
    await index.upsert([kept, removed])
    await index.remove([removed.id])
    again = await store.reopened()
    (found,) = await again.find_candidates(source.scope(), unit(1), "tea", 5)
    assert (found.id, found.bm25 is None) == (kept.id, False)
    assert await again.built_with() == (EMBEDDER, DIMENSIONS)


# ---------------------------------------------------------------- embedders and rebuilding


async def test_index_of_another_embedder_can_be_opened_but_not_written(
    store: Store, index: VectorIndex, source: NamespaceEntries
) -> None:
    await index.upsert([source.entry("tea", 1)])
    other = await store.reopened("test:other", 4)
    assert await other.built_with() == (EMBEDDER, DIMENSIONS)
    with pytest.raises(Unavailable, match="another embedder"):
        await other.upsert([IndexEntry(uuid.uuid4(), source.project_id, "home", [1, 0, 0, 0], "tea")])
    assert await other.count() == 1


async def test_rebuild_can_have_other_dimensions(store: Store, index: VectorIndex, source: NamespaceEntries) -> None:
    old = source.entry("tea", 1)
    await index.upsert([old])
    index = await store.reopened("test:other", 4)
    rebuild = await index.start_rebuild("test:other", 4)
    new = IndexEntry(uuid.uuid4(), source.project_id, "home", [0, 0, 0, 1], "tea")
    await rebuild.upsert([new])
    assert [each.id for each in await index.find_similar(source.scope(), unit(1), 5)] == [old.id]
    await rebuild.swap()
    assert [each.id for each in await index.find_candidates(source.scope(), [0, 0, 0, 1], "tea", 5)] == [new.id]
    assert await index.built_with() == ("test:other", 4)
    again = await store.reopened("test:other", 4)
    assert await again.find_existing([old.id, new.id]) == {new.id}
    assert await again.built_with() == ("test:other", 4)


async def test_writes_during_a_rebuild_reach_both_indexes(index: VectorIndex, source: NamespaceEntries) -> None:
    changed, gone, quiet = (source.entry("old tea", 1) for _ in range(3))
    await index.upsert([changed, gone, quiet])
    rebuild = await index.start_rebuild(EMBEDDER, DIMENSIONS)
    added = source.entry("new tea", 0, 1)
    await index.upsert([added, source.entry("fresh coffee", 0, 0, 1, id=changed.id)])
    await index.remove([gone.id])
    assert await index.count() == 3
    # The ledger was read before those changes: what it said then must not undo them.
    await rebuild.upsert([changed, gone, quiet])
    await rebuild.swap()
    assert await index.find_existing([changed.id, gone.id, quiet.id, added.id]) == {changed.id, quiet.id, added.id}
    found = by_id(await index.find_candidates(source.scope(), unit(0, 0, 1), "coffee", 5))
    assert found[changed.id].similarity == pytest.approx(1, abs=1e-4)
    assert found[changed.id].bm25 is not None
    await index.upsert([source.entry("after", 1)])
    assert await index.count() == 4


async def test_abandoned_rebuild_leaves_no_trace(store: Store, index: VectorIndex, source: NamespaceEntries) -> None:
    kept = source.entry("tea", 1)
    await index.upsert([kept])
    rebuild = await index.start_rebuild("test:other", 4)
    await rebuild.upsert([IndexEntry(uuid.uuid4(), source.project_id, "home", [1, 0, 0, 0], "tea")])
    await rebuild.abandon()
    await index.remove([uuid.uuid4()])
    again = await store.reopened()
    assert [each.id for each in await again.find_candidates(source.scope(), unit(1), "tea", 5)] == [kept.id]
    assert await again.built_with() == (EMBEDDER, DIMENSIONS)


async def test_new_rebuild_replaces_an_unfinished_one(index: VectorIndex, source: NamespaceEntries) -> None:
    await index.upsert([source.entry("tea", 1)])
    unfinished = await index.start_rebuild(EMBEDDER, DIMENSIONS)
    rebuild = await index.start_rebuild(EMBEDDER, DIMENSIONS)
    with pytest.raises(Conflict, match="has replaced"):
        await unfinished.swap()
    await unfinished.abandon()
    entry = source.entry("coffee", 1)
    await rebuild.upsert([entry])
    await rebuild.swap()
    assert await index.find_existing([entry.id]) == {entry.id}
    assert await index.count() == 1
