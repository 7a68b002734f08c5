"""What every vector index must hold to, whichever system is behind it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.core.errors import Conflict, Unavailable
from app.core.ports import IndexEntry, SearchScope, VectorIndex
from tests.contracts.vector_index import (
    DIMENSIONS,
    EMBEDDER,
    Place,
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


@pytest.fixture(params=["edge", "qdrant", "pgvector"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "pgvector":
        # Here and not below: an async fixture cannot wait for another that it asks for by name.
        request.getfixturevalue("database")
    return str(request.param)


@pytest_asyncio.fixture
async def store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if kind == "pgvector":
        database = request.getfixturevalue("database")
        await empty_pgvector(database)
        made = pgvector_store(database)
    else:
        made = edge_store(tmp_path / "index") if kind == "edge" else qdrant_store()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def index(store: Store) -> VectorIndex:
    return await store.index()


@pytest_asyncio.fixture
async def place(store: Store) -> Place:
    return Place(await store.new_project(), "home")


# ---------------------------------------------------------------- writing


async def test_what_was_put_in_is_found(index: VectorIndex, place: Place) -> None:
    cat, dog = place.entry("the cat sleeps", 1), place.entry("the dog barks", 0, 1)
    await index.upsert([cat, dog])
    found = await index.find_candidates(place.scope(), unit(1, 0.1), "cat", 10)
    assert [each.id for each in found] == [cat.id, dog.id]


async def test_putting_an_id_in_again_replaces_it(index: VectorIndex, place: Place) -> None:
    first = place.entry("tea", 1)
    await index.upsert([first])
    await index.upsert([IndexEntry(first.id, place.project_id, "work", unit(0, 1), "coffee")])
    assert await index.find_candidates(place.scope(), unit(1), "tea", 5) == []
    (found,) = await index.find_candidates(SearchScope(place.project_id, ("work",)), unit(0, 1), "coffee", 5)
    assert found.id == first.id
    assert found.similarity == pytest.approx(1, abs=1e-4)
    assert found.bm25 is not None
    assert await index.count() == 1


async def test_the_last_entry_of_an_id_in_a_batch_counts(index: VectorIndex, place: Place) -> None:
    first = place.entry("tea", 1)
    await index.upsert([first, place.entry("coffee", 0, 1, id=first.id)])
    (found,) = await index.find_candidates(place.scope(), unit(0, 1), "coffee", 5)
    assert found.similarity == pytest.approx(1, abs=1e-4)


async def test_what_was_removed_is_gone(index: VectorIndex, place: Place) -> None:
    kept, removed = place.entry("green tea", 1), place.entry("black tea", 0, 1)
    await index.upsert([kept, removed])
    await index.remove([removed.id, uuid.uuid4()])
    assert [each.id for each in await index.find_candidates(place.scope(), unit(0, 1), "black", 5)] == [kept.id]
    assert await index.find_existing([kept.id, removed.id, uuid.uuid4()]) == {kept.id}


async def test_nothing_to_write_is_no_error(index: VectorIndex) -> None:
    await index.upsert([])
    await index.remove([])
    assert await index.find_existing([]) == set()
    assert await index.count() == 0


# ---------------------------------------------------------------- searching


async def test_the_union_of_both_kinds_comes_with_both_scores(index: VectorIndex, place: Place) -> None:
    near = [place.entry("nothing alike", 1, 0.01 * n) for n in range(3)]
    wordy = [place.entry("zebra crossing", -1, 0.01 * n) for n in range(3)]
    await index.upsert([*near, *wordy])
    found = by_id(await index.find_candidates(place.scope(), unit(1), "zebra", 3))
    assert set(found) == {each.id for each in [*near, *wordy]}
    for entry in [*near, *wordy]:
        assert found[entry.id].similarity == pytest.approx(cosine(entry.vector, unit(1)), abs=1e-4)
    assert all((found[each.id].bm25 or 0) > 0 for each in wordy)
    assert all(found[each.id].bm25 is None for each in near)


async def test_a_near_memory_gets_its_word_score_though_others_match_better(index: VectorIndex, place: Place) -> None:
    near = place.entry("tea with a great many other words that make it a worse match", 1)
    better = [place.entry("tea tea tea", -1, 0.1 * n) for n in range(4)]
    await index.upsert([near, *better])
    found = by_id(await index.find_candidates(place.scope(), unit(1), "tea", 1))
    assert len(found) == 2
    assert found[near.id].bm25 is not None


async def test_rarer_words_count_more_and_repeated_words_too(index: VectorIndex, place: Place) -> None:
    rare, common, twice = place.entry("walrus", -1), place.entry("tea", -1, 1), place.entry("tea tea", -1, 2)
    await index.upsert([rare, common, twice, *[place.entry("tea party", -1, 3 + n) for n in range(10)]])
    found = by_id(await index.find_candidates(place.scope(), unit(1), "tea walrus", 20))
    scores = [found[each.id].bm25 or 0 for each in (rare, twice, common)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


async def test_similar_looks_at_meaning_alone(index: VectorIndex, place: Place) -> None:
    entries = [place.entry("tea", 1, 0.1 * n) for n in range(5)]
    await index.upsert(entries)
    found = await index.find_similar(place.scope(), unit(1), 3)
    assert [each.id for each in found] == [each.id for each in entries[:3]]
    assert all(each.bm25 is None for each in found)


async def test_a_project_gets_the_vectors_of_its_own_memories(index: VectorIndex, store: Store, place: Place) -> None:
    mine, other = place.entries(3), Place(await store.new_project(), "home").entries(1)
    await index.upsert([*mine, *other])
    found = await index.load_vectors(place.project_id, [mine[0].id, mine[2].id, other[0].id, uuid.uuid4()])
    assert set(found) == {mine[0].id, mine[2].id}
    assert all(cosine(found[each.id], each.vector) == pytest.approx(1, abs=1e-4) for each in (mine[0], mine[2]))
    assert await index.load_vectors(place.project_id, []) == {}


@pytest.mark.parametrize("size", [100, 1_000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_all_ten_expected_results_are_returned(index: VectorIndex, place: Place, size: int) -> None:
    entries = place.entries(size)
    await index.upsert([*entries, *Place(place.project_id, "elsewhere").entries(200)])
    for _ in range(3):
        question = place.direction()
        expected = sorted(entries, key=lambda entry: -cosine(entry.vector, question))[:10]
        found = await index.find_similar(place.scope(), question, 10)
        assert [each.id for each in found] == [each.id for each in expected]
    words = await index.find_candidates(place.scope(), place.direction(), "word17", 1)
    assert entries[17].id in {each.id for each in words if each.bm25}


# ---------------------------------------------------------------- scopes


async def test_namespaces_never_mix(index: VectorIndex, store: Store, place: Place) -> None:
    work, foreign = Place(place.project_id, "work"), Place(await store.new_project(), "home")
    entries = {each.namespace + str(each.project_id): each.entry("secret tea", 1) for each in (place, work, foreign)}
    await index.upsert(list(entries.values()))
    for each in (place, work, foreign):
        expected = [entries[each.namespace + str(each.project_id)].id]
        assert [found.id for found in await index.find_candidates(each.scope(), unit(1), "tea", 10)] == expected
        assert [found.id for found in await index.find_similar(each.scope(), unit(1), 10)] == expected


async def test_several_namespaces_and_a_whole_project_can_be_searched(
    index: VectorIndex, store: Store, place: Place
) -> None:
    work, other = Place(place.project_id, "work"), Place(place.project_id, "other")
    foreign = Place(await store.new_project(), "home")
    entries = [each.entry("tea", 1, 0.1 * n) for n, each in enumerate((place, work, other, foreign))]
    await index.upsert(entries)
    two = await index.find_candidates(SearchScope(place.project_id, ("home", "work")), unit(1), "tea", 10)
    assert [each.id for each in two] == [each.id for each in entries[:2]]
    whole = await index.find_candidates(SearchScope(place.project_id, None), unit(1), "tea", 10)
    assert [each.id for each in whole] == [each.id for each in entries[:3]]
    assert await index.find_candidates(SearchScope(place.project_id, ()), unit(1), "tea", 10) == []


async def test_a_search_can_be_narrowed_to_thousands_of_ids(index: VectorIndex, place: Place) -> None:
    near, chosen = place.entry("tea", 1), place.entry("tea", -1)
    await index.upsert([near, chosen])
    only = [chosen.id, *(uuid.uuid4() for _ in range(5_000))]
    assert [each.id for each in await index.find_candidates(place.scope(only), unit(1), "tea", 10)] == [chosen.id]
    assert [each.id for each in await index.find_similar(place.scope(only), unit(1), 10)] == [chosen.id]
    assert await index.find_candidates(place.scope([]), unit(1), "tea", 10) == []


async def test_narrowing_changes_no_word_score(index: VectorIndex, place: Place) -> None:
    entries = [place.entry("tea" if n % 2 else "tea walrus", 1, 0.1 * n) for n in range(6)]
    await index.upsert(entries)
    whole = by_id(await index.find_candidates(place.scope(), unit(1), "walrus tea", 10))
    (narrowed,) = await index.find_candidates(place.scope([entries[0].id]), unit(1), "walrus tea", 10)
    assert narrowed.bm25 == pytest.approx(whole[entries[0].id].bm25)


async def test_words_of_others_change_no_score(index: VectorIndex, store: Store, place: Place) -> None:
    entries = [place.entry("walrus tea", 1), place.entry("tea", 0, 1), place.entry("plain water", 0, 0, 1)]
    await index.upsert(entries)
    alone = await index.find_candidates(place.scope(), unit(1), "walrus tea", 10)
    neighbours = [Place(place.project_id, "work"), Place(await store.new_project(), "home")]
    for neighbour in neighbours:
        await index.upsert([neighbour.entry("walrus walrus pudding") for _ in range(30)])
    beside_others = await index.find_candidates(place.scope(), unit(1), "walrus tea", 10)
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
async def test_words_of_any_language_are_found(index: VectorIndex, place: Place, said: str, asked: str) -> None:
    entry = place.entry(said, -1)
    await index.upsert([entry, *[place.entry("unrelated", 1, 0.1 * n) for n in range(5)]])
    found = by_id(await index.find_candidates(place.scope(), unit(1), asked, 2))
    assert (found[entry.id].bm25 or 0) > 0


@pytest.mark.parametrize("odd", ["", " ", "🎉", "the", "\x01\x02", "a" * 20_000])
async def test_odd_texts_are_kept_and_asked_without_harm(index: VectorIndex, place: Place, odd: str) -> None:
    entry = place.entry(odd, 1)
    await index.upsert([entry])
    (found,) = await index.find_candidates(place.scope(), unit(1), odd, 5)
    assert found.id == entry.id
    assert found.similarity == pytest.approx(1, abs=1e-4)
    (found,) = await index.find_candidates(place.scope(), unit(1), "tea", 5)
    assert found.bm25 is None


async def test_an_empty_index_finds_nothing(index: VectorIndex, place: Place) -> None:
    assert await index.find_candidates(place.scope(), unit(1), "tea", 5) == []
    assert await index.find_similar(place.scope(), unit(1), 5) == []
    assert [page async for page in index.iterate_entries()] == []
    assert await index.healthy()


# ---------------------------------------------------------------- upkeep


async def test_a_walk_meets_every_entry_once(index: VectorIndex, store: Store, place: Place) -> None:
    entries = [*place.entries(25), *Place(await store.new_project(), "home").entries(5)]
    await index.upsert(entries)
    pages = [page async for page in index.iterate_entries(batch=10)]
    assert [len(page) for page in pages] == [10, 10, 10]
    assert {(each.id, each.project_id) for page in pages for each in page} == {(e.id, e.project_id) for e in entries}
    assert await index.count() == 30


async def test_searches_go_on_while_others_write(index: VectorIndex, place: Place) -> None:
    standing = place.entry("tea", 1)
    await index.upsert([standing])
    searches = asyncio.gather(*[index.find_candidates(place.scope(), unit(1), "tea", 5) for _ in range(5)])
    await asyncio.gather(*[index.upsert(place.entries(40)) for _ in range(3)], index.run_housekeeping())
    assert all(standing.id in by_id(found) for found in await searches)
    assert await index.count() == 121


async def test_everything_is_there_after_opening_again(store: Store, index: VectorIndex, place: Place) -> None:
    kept, removed = place.entry("tea", 1), place.entry("coffee", 0, 1)
    await index.upsert([kept, removed])
    await index.remove([removed.id])
    again = await store.reopened()
    (found,) = await again.find_candidates(place.scope(), unit(1), "tea", 5)
    assert (found.id, found.bm25 is None) == (kept.id, False)
    assert await again.built_with() == (EMBEDDER, DIMENSIONS)


# ---------------------------------------------------------------- embedders and rebuilding


async def test_another_embedder_can_open_it_sees_who_made_it_and_cannot_write(
    store: Store, index: VectorIndex, place: Place
) -> None:
    await index.upsert([place.entry("tea", 1)])
    other = await store.reopened("test:other", 4)
    assert await other.built_with() == (EMBEDDER, DIMENSIONS)
    with pytest.raises(Unavailable, match="another embedder"):
        await other.upsert([IndexEntry(uuid.uuid4(), place.project_id, "home", [1, 0, 0, 0], "tea")])
    assert await other.count() == 1


async def test_a_rebuild_may_have_other_dimensions(store: Store, index: VectorIndex, place: Place) -> None:
    old = place.entry("tea", 1)
    await index.upsert([old])
    index = await store.reopened("test:other", 4)
    rebuild = await index.start_rebuild("test:other", 4)
    new = IndexEntry(uuid.uuid4(), place.project_id, "home", [0, 0, 0, 1], "tea")
    await rebuild.upsert([new])
    assert [each.id for each in await index.find_similar(place.scope(), unit(1), 5)] == [old.id]
    await rebuild.swap()
    assert [each.id for each in await index.find_candidates(place.scope(), [0, 0, 0, 1], "tea", 5)] == [new.id]
    assert await index.built_with() == ("test:other", 4)
    again = await store.reopened("test:other", 4)
    assert await again.find_existing([old.id, new.id]) == {new.id}
    assert await again.built_with() == ("test:other", 4)


async def test_what_is_written_during_a_rebuild_is_in_both(index: VectorIndex, place: Place) -> None:
    changed, gone, quiet = (place.entry("old tea", 1) for _ in range(3))
    await index.upsert([changed, gone, quiet])
    rebuild = await index.start_rebuild(EMBEDDER, DIMENSIONS)
    added = place.entry("new tea", 0, 1)
    await index.upsert([added, place.entry("fresh coffee", 0, 0, 1, id=changed.id)])
    await index.remove([gone.id])
    assert await index.count() == 3
    # The ledger was read before those changes: what it said then must not undo them.
    await rebuild.upsert([changed, gone, quiet])
    await rebuild.swap()
    assert await index.find_existing([changed.id, gone.id, quiet.id, added.id]) == {changed.id, quiet.id, added.id}
    found = by_id(await index.find_candidates(place.scope(), unit(0, 0, 1), "coffee", 5))
    assert found[changed.id].similarity == pytest.approx(1, abs=1e-4)
    assert found[changed.id].bm25 is not None
    await index.upsert([place.entry("after", 1)])
    assert await index.count() == 4


async def test_an_abandoned_rebuild_leaves_no_trace(store: Store, index: VectorIndex, place: Place) -> None:
    kept = place.entry("tea", 1)
    await index.upsert([kept])
    rebuild = await index.start_rebuild("test:other", 4)
    await rebuild.upsert([IndexEntry(uuid.uuid4(), place.project_id, "home", [1, 0, 0, 0], "tea")])
    await rebuild.abandon()
    await index.remove([uuid.uuid4()])
    again = await store.reopened()
    assert [each.id for each in await again.find_candidates(place.scope(), unit(1), "tea", 5)] == [kept.id]
    assert await again.built_with() == (EMBEDDER, DIMENSIONS)


async def test_a_new_rebuild_takes_the_place_of_an_unfinished_one(index: VectorIndex, place: Place) -> None:
    await index.upsert([place.entry("tea", 1)])
    unfinished = await index.start_rebuild(EMBEDDER, DIMENSIONS)
    rebuild = await index.start_rebuild(EMBEDDER, DIMENSIONS)
    with pytest.raises(Conflict, match="has replaced"):
        await unfinished.swap()
    await unfinished.abandon()
    entry = place.entry("coffee", 1)
    await rebuild.upsert([entry])
    await rebuild.swap()
    assert await index.find_existing([entry.id]) == {entry.id}
    assert await index.count() == 1
