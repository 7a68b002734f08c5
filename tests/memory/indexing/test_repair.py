"""Whatever was lost, left behind or made by another embedder: afterwards ledger and index agree."""

import asyncio
import hashlib
import math
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
from app.core.errors import ConfigurationError
from app.core.ports import IndexEntry, Purpose, SearchScope, Vector, VectorIndex
from app.core.resources import Resources
from app.memory.edit import Caretaker, change_memory
from app.memory.forget import forget
from app.memory.indexing.indexer import Indexer
from app.memory.indexing.rebuild import LOOK, NAME, rebuild_index
from app.memory.indexing.repair import index_missing, remove_orphans, sweep
from app.memory.namespace import Namespace
from app.settings import Settings
from app.wiring import open_resources
from app.wiring.models import open_index
from tests.contracts.vector_index import qdrant_store
from tests.memory.namespaces import (
    as_system,
    ask,
    contents,
    execute,
    keep,
    move_in,
    new_project,
    put_vector,
    row_of,
    settled,
)


@dataclass(frozen=True)
class Fake:
    """Vectors from a hash of the words: the same words are near, everything else is far."""

    name: str = "test:fake"
    dimensions: int = 16
    seconds: float = 0.0

    async def embed(self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT) -> list[Vector]:
        await asyncio.sleep(self.seconds)
        return [self.one(each) for each in texts]

    def one(self, words: str) -> Vector:
        parts = [byte - 127.5 for byte in hashlib.sha256(words.encode()).digest()[: self.dimensions]]
        length = math.hypot(*parts)
        return [part / length for part in parts]

    async def close(self) -> None:
        """Nothing is held."""


@pytest_asyncio.fixture(scope="module")
async def apart(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Resources]:
    """With a database of its own: what is repaired is what these tests have broken."""
    folder: Path = tmp_path_factory.mktemp("repair")
    async with open_resources(Settings(_env_file=None, data_dir=folder)) as resources:
        yield resources


@pytest_asyncio.fixture
async def house(apart: Resources, tmp_path: Path) -> AsyncIterator[Resources]:
    """With an index of its own, which holds nothing of other tests, and a queue into it."""
    index = await QdrantEdgeIndex.open(tmp_path / "index", Fake.name, Fake.dimensions)
    house = with_index(apart, Fake(), index)
    yield house
    await close(house)
    await index.close()


@pytest_asyncio.fixture
async def home(apart: Resources) -> Namespace:
    return await move_in(apart, await new_project(apart))


def with_index(resources: Resources, embedder: Fake, index: VectorIndex) -> Resources:
    queue = Indexer(resources.database, embedder, index, settle_seconds=0.05)
    queue.start()
    return replace(resources, embedder=embedder, index=index, index_queue=queue)


async def close(resources: Resources) -> None:
    assert isinstance(resources.index_queue, Indexer)
    await resources.index_queue.close()


async def test_the_sweep_indexes_what_a_crash_left_between_commit_and_index(house: Resources, home: Namespace) -> None:
    ids = await keep(house, home, "I like tea", "I like coffee")
    index = await settled(house, home)
    await index.remove(ids[:1])
    await execute(house, home, "update memories set state = 'pending' where id = any(:ids)", ids=ids)
    assert await sweep(house, older_than_seconds=0) >= 2
    assert await (await settled(house, home)).present(ids) == set(ids)
    row = await row_of(house, home, ids[0])
    assert row is not None
    assert row.state == "indexed"


async def test_the_sweep_leaves_alone_what_is_on_its_ordinary_way(house: Resources, home: Namespace) -> None:
    (memory_id,) = await keep(house, home, "I like tea")
    await settled(house, home)
    await execute(house, home, "update memories set state = 'pending' where id = :id", id=memory_id)
    await sweep(house, older_than_seconds=60)
    row = await row_of(house, home, memory_id)
    assert row is not None
    assert row.state == "pending"


async def test_the_sweep_goes_on_until_nothing_is_left(house: Resources, home: Namespace) -> None:
    ids = await keep(house, home, *(f"I own {n} marbles" for n in range(1500)))
    index = await settled(house, home)
    await index.remove(ids)
    await execute(house, home, "update memories set state = 'pending' where namespace = :name", name=str(home))
    await sweep(house, older_than_seconds=0)
    assert await (await settled(house, home)).present(ids) == set(ids)


async def test_the_sweep_finishes_removals(house: Resources, home: Namespace) -> None:
    (memory_id,) = await keep(house, home, "I like tea")
    index = await settled(house, home)
    await execute(house, home, "delete from memories where id = :id", id=memory_id)
    assert await index.present([memory_id]) == {memory_id}
    await sweep(house, older_than_seconds=0)
    assert await index.present([memory_id]) == set()
    assert await as_system(house, "select from vector_removals where memory_id = :id", id=memory_id) == []


async def test_vectors_without_rows_are_removed_and_no_others(house: Resources, home: Namespace) -> None:
    kept = await keep(house, home, "I like tea", "I like coffee")
    await settled(house, home)
    orphans = [await put_vector(house, home, "I like milk") for _ in range(5)]
    assert await remove_orphans(house) == 5
    assert await house.index.present([*kept, *orphans]) == set(kept)


async def test_rows_that_the_index_has_lost_are_found_and_indexed_again(house: Resources, home: Namespace) -> None:
    ids = await keep(house, home, "I like tea", "I like coffee")
    await (await settled(house, home)).remove(ids[:1])
    assert await index_missing(house) >= 1
    await sweep(house, older_than_seconds=0)
    assert len(await ask(house, home, "like")) == 2


async def test_what_an_embedder_that_was_away_left_is_found_after_the_sweep(house: Resources, home: Namespace) -> None:
    broken = with_index(house, Broken(), house.index)
    ids = await keep(broken, home, "I like tea")
    await settled(broken, home)
    await close(broken)
    assert await house.index.present(ids) == set()
    await sweep(house, older_than_seconds=0)
    assert await (await settled(house, home)).present(ids) == set(ids)


class Broken(Fake):
    async def embed(self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT) -> list[Vector]:
        raise KeyError("an error nobody foresaw")


async def test_the_index_is_looked_after_in_quiet_moments(house: Resources, home: Namespace) -> None:
    counting = Settling(house.index)
    quiet = with_index(house, Fake(), counting)
    async with asyncio.timeout(10):
        await counting.settled.wait()
    await close(quiet)


@dataclass
class Settling:
    index: VectorIndex

    def __post_init__(self) -> None:
        self.settled = asyncio.Event()

    async def settle(self) -> None:
        self.settled.set()

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        await self.index.upsert(entries)


# ---------------------------------------------------------------- reindex


OTHER = Fake("test:other", 24)


async def test_everything_is_found_after_a_rebuild_with_another_embedder(
    house: Resources, home: Namespace, tmp_path: Path
) -> None:
    await keep(house, home, *(f"I own {n} marbles" for n in range(300)))
    await settled(house, home)
    await house.index.close()
    index = await QdrantEdgeIndex.open(tmp_path / "index", OTHER.name, OTHER.dimensions)
    other = with_index(house, OTHER, index)
    assert await rebuild_index(other) >= 300
    await settled(other, home)
    assert await index.made_by() == (OTHER.name, OTHER.dimensions)
    assert contents(await ask(other, home, "I own 7 marbles", top_k=1)) == ["I own 7 marbles"]
    assert len(await ask(other, home, "marbles", top_k=500)) == 300
    async with house.database.system() as tx:
        told = (await tx.execute(LOOK, {"name": NAME})).one()
    assert (told.state, told.done) == ("finished", told.total)
    await close(other)
    await index.close()


async def test_what_is_written_while_serving_is_found_after_a_rebuild(house: Resources, home: Namespace) -> None:
    before = await keep(house, home, *(f"I own {n} marbles" for n in range(400)))
    await settled(house, home)
    work = asyncio.create_task(rebuild_index(replace(house, embedder=Fake(seconds=0.02))))
    await live_on(house, house, home, before, work)


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")  # of the stand-in for a server
async def test_what_another_process_writes_with_the_old_embedder_is_found_after_a_rebuild(
    house: Resources, home: Namespace
) -> None:
    store = qdrant_store()
    old = with_index(house, Fake(), await store.index(Fake.name, Fake.dimensions))
    before = await keep(old, home, *(f"I own {n} marbles" for n in range(300)))
    await settled(old, home)
    new = with_index(house, replace(OTHER, seconds=0.02), await store.index(OTHER.name, OTHER.dimensions))
    work = asyncio.create_task(rebuild_index(new))
    await live_on(old, new, home, before, work)
    await close(old)
    await close(new)
    await store.close()


async def live_on(
    writer: Resources, reader: Resources, home: Namespace, before: list[uuid.UUID], work: asyncio.Task[int]
) -> None:
    """Adds, changes and removals while the rebuild runs, and then everything as it should be."""
    added: list[uuid.UUID] = []
    for number in range(15):
        added += await keep(writer, home, f"I met {number} people")
        words = {"content": f"I sold {number} marbles"}
        await change_memory(writer, Caretaker(home.project_id), before[number], words)
        await forget(writer, home, [before[-1 - number]])
        await asyncio.sleep(0.005)
    await work
    await settled(writer, home)
    await sweep(reader, older_than_seconds=0)  # as every minute, for a writer that was refused after the swap
    index, kept = await settled(reader, home), {*added, *before[:-15]}
    assert {each.memory.id for each in await ask(reader, home, "I", top_k=900)} == kept
    assert await index.present([*kept, *before[-15:]]) == kept
    for words, place in (("I sold 3 marbles", before[3]), ("I met 14 people", added[14])):
        (vector,) = await reader.embedder.embed([words])
        (best,) = await index.similar(SearchScope(home.project_id, (str(home),)), vector, 1)
        assert (best.id, best.similarity) == (place, pytest.approx(1, abs=1e-3))


async def test_a_rebuild_that_fails_leaves_the_old_index_serving(house: Resources, home: Namespace) -> None:
    await keep(house, home, "I like tea")
    await settled(house, home)
    with pytest.raises(KeyError):
        await rebuild_index(replace(house, embedder=Broken("test:other", 24)))
    assert contents(await ask(house, home, "tea")) == ["I like tea"]
    async with house.database.system() as tx:
        assert (await tx.execute(LOOK, {"name": NAME})).one().state == "failed"
    assert await rebuild_index(house) >= 1


async def test_a_start_with_another_embedder_stops_with_the_remedy(house: Resources, tmp_path: Path) -> None:
    mine = Settings(_env_file=None, data_dir=tmp_path)
    await house.index.close()
    async with AsyncExitStack() as stack:
        with pytest.raises(ConfigurationError, match="reindex"):
            await open_index(mine, stack, house.database, OTHER, rebuilding=False)
    async with AsyncExitStack() as stack:
        index = await open_index(mine, stack, house.database, OTHER, rebuilding=True)
        assert await index.made_by() == ("test:fake", 16)
