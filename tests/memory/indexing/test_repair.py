"""Repair and rebuild: afterwards the ledger and the index agree."""

import asyncio
import hashlib
import math
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
from app.core.errors import ConfigurationError
from app.core.ports import IndexEntry, Purpose, SearchScope, Vector, VectorIndex
from app.core.resources import Resources
from app.memory.edit import Owner, change_memory
from app.memory.forget import forget
from app.memory.indexing import (
    REBUILD_NAME,
    SELECT_REBUILD_PROGRESS_SQL,
    Indexer,
    mark_missing_pending,
    rebuild_index,
    remove_orphans,
    sweep,
)
from app.memory.namespace import Namespace
from app.settings import Settings
from app.wiring import open_resources
from app.wiring.models import open_index
from tests.contracts.vector_index import qdrant_store
from tests.memory.namespaces import (
    as_system,
    ask,
    contents,
    create_namespace,
    execute,
    keep,
    new_project,
    put_vector,
    row_of,
    settled,
)


@dataclass(frozen=True)
class FakeEmbedder:
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
        """Holds no resources."""


@pytest_asyncio.fixture(scope="module")
async def apart(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Resources]:
    """Resources with their own database, so that repair finds only what these tests broke."""
    folder: Path = tmp_path_factory.mktemp("repair")
    async with open_resources(Settings(_env_file=None, data_dir=folder)) as resources:
        yield resources


@pytest_asyncio.fixture
async def house(apart: Resources, tmp_path: Path) -> AsyncIterator[Resources]:
    """Resources with an index and an indexer of their own, free of entries of other tests."""
    index = await QdrantEdgeIndex.open(tmp_path / "index", FakeEmbedder.name, FakeEmbedder.dimensions)
    house = with_index(apart, FakeEmbedder(), index)
    yield house
    await close(house)
    await index.close()


@pytest_asyncio.fixture
async def home(apart: Resources) -> Namespace:
    return await create_namespace(apart, await new_project(apart))


def with_index(resources: Resources, embedder: FakeEmbedder, index: VectorIndex) -> Resources:
    queue = Indexer(resources.database, embedder, index, idle_seconds=0.05)
    queue.start()
    return replace(resources, embedder=embedder, index=index, index_queue=queue)


async def close(resources: Resources) -> None:
    assert isinstance(resources.index_queue, Indexer)
    await resources.index_queue.close()


async def test_sweep_indexes_rows_that_a_crash_left_pending(house: Resources, home: Namespace) -> None:
    ids = await keep(house, home, "I like tea", "I like coffee")
    index = await settled(house, home)
    await index.remove(ids[:1])
    await execute(house, home, "update memories set state = 'pending' where id = any(:ids)", ids=ids)
    assert await sweep(house, older_than_seconds=0) >= 2
    assert await (await settled(house, home)).find_existing(ids) == set(ids)
    row = await row_of(house, home, ids[0])
    assert row is not None
    assert row.state == "indexed"


async def test_sweep_skips_rows_that_are_still_in_the_queue(house: Resources, home: Namespace) -> None:
    (memory_id,) = await keep(house, home, "I like tea")
    await settled(house, home)
    await execute(house, home, "update memories set state = 'pending' where id = :id", id=memory_id)
    await sweep(house, older_than_seconds=60)
    row = await row_of(house, home, memory_id)
    assert row is not None
    assert row.state == "pending"


async def test_sweep_continues_until_no_row_is_pending(house: Resources, home: Namespace) -> None:
    ids = await keep(house, home, *(f"I own {n} marbles" for n in range(1500)))
    index = await settled(house, home)
    await index.remove(ids)
    await execute(house, home, "update memories set state = 'pending' where namespace = :name", name=str(home))
    await sweep(house, older_than_seconds=0)
    assert await (await settled(house, home)).find_existing(ids) == set(ids)


async def test_sweep_finishes_removals(house: Resources, home: Namespace) -> None:
    (memory_id,) = await keep(house, home, "I like tea")
    index = await settled(house, home)
    await execute(house, home, "delete from memories where id = :id", id=memory_id)
    assert await index.find_existing([memory_id]) == {memory_id}
    await sweep(house, older_than_seconds=0)
    assert await index.find_existing([memory_id]) == set()
    assert await as_system(house, "select from vector_removals where memory_id = :id", id=memory_id) == []


async def test_remove_orphans_removes_only_vectors_without_rows(house: Resources, home: Namespace) -> None:
    kept = await keep(house, home, "I like tea", "I like coffee")
    await settled(house, home)
    orphans = [await put_vector(house, home, "I like milk") for _ in range(5)]
    assert await remove_orphans(house) == 5
    assert await house.index.find_existing([*kept, *orphans]) == set(kept)


async def test_rows_missing_from_the_index_are_indexed_again(house: Resources, home: Namespace) -> None:
    ids = await keep(house, home, "I like tea", "I like coffee")
    await (await settled(house, home)).remove(ids[:1])
    assert await mark_missing_pending(house) >= 1
    await sweep(house, older_than_seconds=0)
    assert len(await ask(house, home, "like")) == 2


async def test_sweep_indexes_rows_whose_embedding_failed(house: Resources, home: Namespace) -> None:
    broken = with_index(house, BrokenEmbedder(), house.index)
    ids = await keep(broken, home, "I like tea")
    await settled(broken, home)
    await close(broken)
    assert await house.index.find_existing(ids) == set()
    await sweep(house, older_than_seconds=0)
    assert await (await settled(house, home)).find_existing(ids) == set(ids)


class BrokenEmbedder(FakeEmbedder):
    async def embed(self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT) -> list[Vector]:
        raise KeyError("an unforeseen error")


async def test_indexer_runs_housekeeping_while_idle(house: Resources, home: Namespace) -> None:
    idle = IdleIndex(house.index)
    quiet = with_index(house, FakeEmbedder(), cast(VectorIndex, idle))
    async with asyncio.timeout(10):
        await idle.was_idle.wait()
    await close(quiet)


@dataclass
class IdleIndex:
    index: VectorIndex

    def __post_init__(self) -> None:
        self.was_idle = asyncio.Event()

    async def run_housekeeping(self) -> None:
        self.was_idle.set()

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        await self.index.upsert(entries)


# ---------------------------------------------------------------- reindex


OTHER = FakeEmbedder("test:other", 24)


async def test_rebuild_with_another_embedder_holds_every_memory(
    house: Resources, home: Namespace, tmp_path: Path
) -> None:
    await keep(house, home, *(f"I own {n} marbles" for n in range(300)))
    await settled(house, home)
    await house.index.close()
    index = await QdrantEdgeIndex.open(tmp_path / "index", OTHER.name, OTHER.dimensions)
    other = with_index(house, OTHER, index)
    assert await rebuild_index(other) >= 300
    await settled(other, home)
    assert await index.built_with() == (OTHER.name, OTHER.dimensions)
    assert contents(await ask(other, home, "I own 7 marbles", top_k=1)) == ["I own 7 marbles"]
    assert len(await ask(other, home, "marbles", top_k=500)) == 300
    async with house.database.system() as tx:
        progress = (await tx.execute(SELECT_REBUILD_PROGRESS_SQL, {"name": REBUILD_NAME})).one()
    assert (progress.state, progress.done) == ("finished", progress.total)
    await close(other)
    await index.close()


async def test_rebuild_includes_memories_written_meanwhile(house: Resources, home: Namespace) -> None:
    before = await keep(house, home, *(f"I own {n} marbles" for n in range(400)))
    await settled(house, home)
    work = asyncio.create_task(rebuild_index(replace(house, embedder=FakeEmbedder(seconds=0.02))))
    await write_during_rebuild(house, house, home, before, work)


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")  # from the in-memory client
async def test_rebuild_includes_memories_written_by_a_process_with_the_old_embedder(
    house: Resources, home: Namespace
) -> None:
    store = qdrant_store()
    old = with_index(house, FakeEmbedder(), await store.index(FakeEmbedder.name, FakeEmbedder.dimensions))
    before = await keep(old, home, *(f"I own {n} marbles" for n in range(300)))
    await settled(old, home)
    new = with_index(house, replace(OTHER, seconds=0.02), await store.index(OTHER.name, OTHER.dimensions))
    work = asyncio.create_task(rebuild_index(new))
    await write_during_rebuild(old, new, home, before, work)
    await close(old)
    await close(new)
    await store.close()


async def write_during_rebuild(
    writer: Resources, reader: Resources, home: Namespace, before: list[uuid.UUID], work: asyncio.Task[int]
) -> None:
    """Adds, changes and removes memories during the rebuild, then checks the index."""
    added: list[uuid.UUID] = []
    for number in range(15):
        added += await keep(writer, home, f"I met {number} people")
        words = {"content": f"I sold {number} marbles"}
        await change_memory(writer, Owner(home.project_id), before[number], words)
        await forget(writer, home, [before[-1 - number]])
        await asyncio.sleep(0.005)
    await work
    await settled(writer, home)
    await sweep(reader, older_than_seconds=0)  # the periodic job, for a writer that was refused after the swap
    index, kept = await settled(reader, home), {*added, *before[:-15]}
    assert {each.memory.id for each in await ask(reader, home, "I", top_k=900)} == kept
    assert await index.find_existing([*kept, *before[-15:]]) == kept
    for text, place in (("I sold 3 marbles", before[3]), ("I met 14 people", added[14])):
        (vector,) = await reader.embedder.embed([text])
        (best,) = await index.find_similar(SearchScope(home.project_id, (str(home),)), vector, 1)
        assert best.id == place
        assert best.similarity == pytest.approx(1, abs=1e-3)


async def test_failed_rebuild_leaves_the_old_index_serving(house: Resources, home: Namespace) -> None:
    await keep(house, home, "I like tea")
    await settled(house, home)
    with pytest.raises(KeyError):
        await rebuild_index(replace(house, embedder=BrokenEmbedder("test:other", 24)))
    assert contents(await ask(house, home, "tea")) == ["I like tea"]
    async with house.database.system() as tx:
        assert (await tx.execute(SELECT_REBUILD_PROGRESS_SQL, {"name": REBUILD_NAME})).one().state == "failed"
    assert await rebuild_index(house) >= 1


async def test_start_with_another_embedder_names_the_remedy(house: Resources, tmp_path: Path) -> None:
    mine = Settings(_env_file=None, data_dir=tmp_path)
    await house.index.close()
    async with AsyncExitStack() as stack:
        with pytest.raises(ConfigurationError, match="reindex"):
            await open_index(mine, stack, house.database, OTHER, rebuilding=False)
    async with AsyncExitStack() as stack:
        index = await open_index(mine, stack, house.database, OTHER, rebuilding=True)
        assert await index.built_with() == ("test:fake", 16)
