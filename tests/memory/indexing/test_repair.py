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
from uuid import UUID

import pytest
import pytest_asyncio

from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
from app.core.errors import ConfigurationError
from app.core.ports import IndexEntry, Purpose, SearchScope, Vector, VectorIndex
from app.core.resources import Resources
from app.memory.archive import archive_memory
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
from app.memory.indexing.inspect import IndexCondition, inspect_index
from app.memory.namespace import Namespace
from app.settings import Settings
from app.wiring.models import open_index
from tests.contracts.vector_index import qdrant_store
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    execute_sql_as_system,
    load_memory,
    new_project,
    put_vector,
    search,
    wait_until_indexed,
)
from tests.patience import PATIENCE_SECONDS


@dataclass(frozen=True)
class FakeEmbedder:
    """Vectors from a hash of the words: the same words are near, everything else is far."""

    name: str = "test:fake"
    dimensions: int = 16
    seconds: float = 0.0

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        await asyncio.sleep(self.seconds)
        return [self.one(each) for each in texts]

    def one(self, words: str) -> Vector:
        parts = [byte - 127.5 for byte in hashlib.sha256(words.encode()).digest()[: self.dimensions]]
        length = math.hypot(*parts)
        return [part / length for part in parts]

    async def close(self) -> None:
        """Holds no resources."""


@pytest_asyncio.fixture
async def repair_resources(own_resources: Resources, tmp_path: Path) -> AsyncIterator[Resources]:
    """Resources with an index and an indexer of their own, free of entries of other tests."""
    index = await QdrantEdgeIndex.open(tmp_path / "index", FakeEmbedder.name, FakeEmbedder.dimensions)
    repair_resources = with_index(own_resources, FakeEmbedder(), index)
    yield repair_resources
    await close(repair_resources)
    await index.close()


@pytest_asyncio.fixture
async def namespace(own_resources: Resources) -> Namespace:
    return await create_namespace(own_resources, await new_project(own_resources))


def with_index(resources: Resources, embedder: FakeEmbedder, index: VectorIndex) -> Resources:
    queue = Indexer(resources.database, embedder, index, idle_seconds=0.05)
    queue.start()
    return replace(resources, embedder=embedder, index=index, index_queue=queue)


async def close(resources: Resources) -> None:
    assert isinstance(resources.index_queue, Indexer)
    await resources.index_queue.close()


async def test_sweep_indexes_rows_that_a_crash_left_pending(repair_resources: Resources, namespace: Namespace) -> None:
    ids = await add_memories(repair_resources, namespace, "I like tea", "I like coffee")
    index = await wait_until_indexed(repair_resources, namespace)
    await index.remove(ids[:1])
    await execute_sql(
        repair_resources, namespace, "update memories set state = 'pending' where id = any(:ids)", ids=ids
    )
    assert await sweep(repair_resources, older_than_seconds=0) >= 2
    assert await (await wait_until_indexed(repair_resources, namespace)).find_existing(ids) == set(ids)
    row = await load_memory(repair_resources, namespace, ids[0])
    assert row is not None
    assert row.state == "indexed"


async def test_sweep_skips_rows_that_are_still_in_the_queue(repair_resources: Resources, namespace: Namespace) -> None:
    (memory_id,) = await add_memories(repair_resources, namespace, "I like tea")
    await wait_until_indexed(repair_resources, namespace)
    await execute_sql(repair_resources, namespace, "update memories set state = 'pending' where id = :id", id=memory_id)
    await sweep(repair_resources, older_than_seconds=60)
    row = await load_memory(repair_resources, namespace, memory_id)
    assert row is not None
    assert row.state == "pending"


async def test_sweep_continues_until_no_row_is_pending(repair_resources: Resources, namespace: Namespace) -> None:
    ids = await add_memories(repair_resources, namespace, *(f"I own {n} marbles" for n in range(1500)))
    index = await wait_until_indexed(repair_resources, namespace)
    await index.remove(ids)
    await execute_sql(
        repair_resources,
        namespace,
        "update memories set state = 'pending' where namespace = :name",
        name=str(namespace),
    )
    await sweep(repair_resources, older_than_seconds=0)
    assert await (await wait_until_indexed(repair_resources, namespace)).find_existing(ids) == set(ids)


async def test_sweep_finishes_removals(repair_resources: Resources, namespace: Namespace) -> None:
    (memory_id,) = await add_memories(repair_resources, namespace, "I like tea")
    index = await wait_until_indexed(repair_resources, namespace)
    await execute_sql(repair_resources, namespace, "delete from memories where id = :id", id=memory_id)
    assert await index.find_existing([memory_id]) == {memory_id}
    await sweep(repair_resources, older_than_seconds=0)
    assert await index.find_existing([memory_id]) == set()
    assert (
        await execute_sql_as_system(repair_resources, "select from vector_removals where memory_id = :id", id=memory_id)
        == []
    )


async def test_remove_orphans_removes_only_vectors_without_rows(
    repair_resources: Resources, namespace: Namespace
) -> None:
    kept = await add_memories(repair_resources, namespace, "I like tea", "I like coffee")
    await wait_until_indexed(repair_resources, namespace)
    orphans = [await put_vector(repair_resources, namespace, "I like milk") for _ in range(5)]
    assert await remove_orphans(repair_resources) == 5
    assert await repair_resources.index.find_existing([*kept, *orphans]) == set(kept)


async def test_rows_missing_from_the_index_are_indexed_again(repair_resources: Resources, namespace: Namespace) -> None:
    ids = await add_memories(repair_resources, namespace, "I like tea", "I like coffee")
    await (await wait_until_indexed(repair_resources, namespace)).remove(ids[:1])
    assert await mark_missing_pending(repair_resources) >= 1
    await sweep(repair_resources, older_than_seconds=0)
    assert len(await search(repair_resources, namespace, "like")) == 2


async def test_sweep_indexes_rows_whose_embedding_failed(repair_resources: Resources, namespace: Namespace) -> None:
    broken = with_index(repair_resources, BrokenEmbedder(), repair_resources.index)
    ids = await add_memories(broken, namespace, "I like tea")
    await wait_until_indexed(broken, namespace)
    await close(broken)
    assert await repair_resources.index.find_existing(ids) == set()
    await sweep(repair_resources, older_than_seconds=0)
    assert await (await wait_until_indexed(repair_resources, namespace)).find_existing(ids) == set(ids)


class BrokenEmbedder(FakeEmbedder):
    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        raise KeyError("an unforeseen error")


async def test_indexer_runs_housekeeping_while_idle(repair_resources: Resources, namespace: Namespace) -> None:
    idle = IdleIndex(repair_resources.index)
    quiet = with_index(repair_resources, FakeEmbedder(), cast(VectorIndex, idle))
    async with asyncio.timeout(PATIENCE_SECONDS):
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
    repair_resources: Resources, namespace: Namespace, tmp_path: Path
) -> None:
    await add_memories(repair_resources, namespace, *(f"I own {n} marbles" for n in range(300)))
    await wait_until_indexed(repair_resources, namespace)
    await repair_resources.index.close()
    index = await QdrantEdgeIndex.open(tmp_path / "index", OTHER.name, OTHER.dimensions)
    other = with_index(repair_resources, OTHER, index)
    assert await rebuild_index(other) >= 300
    await wait_until_indexed(other, namespace)
    assert await index.built_with() == (OTHER.name, OTHER.dimensions)
    assert contents(await search(other, namespace, "I own 7 marbles", top_k=1)) == ["I own 7 marbles"]
    assert len(await search(other, namespace, "marbles", top_k=500)) == 300
    async with repair_resources.database.system() as tx:
        progress = (await tx.execute(SELECT_REBUILD_PROGRESS_SQL, {"name": REBUILD_NAME})).one()
    assert (progress.state, progress.done) == ("finished", progress.total)
    await close(other)
    await index.close()


async def test_rebuild_includes_memories_written_meanwhile(repair_resources: Resources, namespace: Namespace) -> None:
    before = await add_memories(repair_resources, namespace, *(f"I own {n} marbles" for n in range(400)))
    await wait_until_indexed(repair_resources, namespace)
    work = asyncio.create_task(rebuild_index(replace(repair_resources, embedder=FakeEmbedder(seconds=0.02))))
    await write_during_rebuild(repair_resources, repair_resources, namespace, before, work)


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")  # from the in-memory client
async def test_rebuild_includes_memories_written_by_a_process_with_the_old_embedder(
    repair_resources: Resources, namespace: Namespace
) -> None:
    store = qdrant_store()
    old = with_index(repair_resources, FakeEmbedder(), await store.index(FakeEmbedder.name, FakeEmbedder.dimensions))
    before = await add_memories(old, namespace, *(f"I own {n} marbles" for n in range(300)))
    await wait_until_indexed(old, namespace)
    new = with_index(repair_resources, replace(OTHER, seconds=0.02), await store.index(OTHER.name, OTHER.dimensions))
    work = asyncio.create_task(rebuild_index(new))
    await write_during_rebuild(old, new, namespace, before, work)
    await close(old)
    await close(new)
    await store.close()


async def write_during_rebuild(
    writer: Resources, reader: Resources, namespace: Namespace, before: list[uuid.UUID], work: asyncio.Task[int]
) -> None:
    """Adds, changes and removes memories during the rebuild, then checks the index."""
    added: list[uuid.UUID] = []
    for number in range(15):
        added += await add_memories(writer, namespace, f"I met {number} people")
        words = {"content": f"I sold {number} marbles"}
        await change_memory(writer, Owner(namespace.project_id), before[number], words)
        await forget(writer, namespace, [before[-1 - number]])
        await asyncio.sleep(0.005)
    await work
    await wait_until_indexed(writer, namespace)
    await sweep(reader, older_than_seconds=0)  # the periodic job, for a writer that was refused after the swap
    index, kept = await wait_until_indexed(reader, namespace), {*added, *before[:-15]}
    assert {each.memory.id for each in await search(reader, namespace, "I", top_k=900)} == kept
    assert await index.find_existing([*kept, *before[-15:]]) == kept
    for text, place in (("I sold 3 marbles", before[3]), ("I met 14 people", added[14])):
        (vector,) = await reader.embedder.embed([text])
        (best,) = await index.find_similar(SearchScope(namespace.project_id, (str(namespace),)), vector, 1)
        assert best.id == place
        assert best.similarity == pytest.approx(1, abs=1e-3)


async def test_failed_rebuild_leaves_the_old_index_serving(repair_resources: Resources, namespace: Namespace) -> None:
    await add_memories(repair_resources, namespace, "I like tea")
    await wait_until_indexed(repair_resources, namespace)
    with pytest.raises(KeyError):
        await rebuild_index(replace(repair_resources, embedder=BrokenEmbedder("test:other", 24)))
    assert contents(await search(repair_resources, namespace, "tea")) == ["I like tea"]
    async with repair_resources.database.system() as tx:
        assert (await tx.execute(SELECT_REBUILD_PROGRESS_SQL, {"name": REBUILD_NAME})).one().state == "failed"
    assert await rebuild_index(repair_resources) >= 1


async def test_start_with_another_embedder_names_the_remedy(repair_resources: Resources, tmp_path: Path) -> None:
    mine = Settings(_env_file=None, data_dir=tmp_path)
    await repair_resources.index.close()
    async with AsyncExitStack() as stack:
        with pytest.raises(ConfigurationError, match="reindex"):
            await open_index(mine, stack, repair_resources.database, OTHER, rebuilding=False)
    async with AsyncExitStack() as stack:
        index = await open_index(mine, stack, repair_resources.database, OTHER, rebuilding=True)
        assert await index.built_with() == ("test:fake", 16)


async def is_indexed(resources: Resources, memory_id: UUID, namespace: Namespace) -> bool:
    index = await wait_until_indexed(resources, namespace)
    return memory_id in await index.find_existing([memory_id])


async def test_archived_memory_is_not_in_the_index_whatever_repairs_it(
    repair_resources: Resources, namespace: Namespace
) -> None:
    resources, owner = repair_resources, Owner(namespace.project_id)
    gone, live = await add_memories(resources, namespace, "I fly gliders", "I keep bees")
    await archive_memory(resources, owner, gone)
    assert not await is_indexed(resources, gone, namespace)
    await change_memory(resources, owner, gone, {"content": "I flew gliders"})
    assert not await is_indexed(resources, gone, namespace)
    await mark_missing_pending(resources)
    await sweep(resources, older_than_seconds=0)
    assert not await is_indexed(resources, gone, namespace)
    await put_vector(resources, namespace, "I fly gliders", gone)
    await remove_orphans(resources)
    assert not await is_indexed(resources, gone, namespace)
    await rebuild_index(resources)
    assert not await is_indexed(resources, gone, namespace)
    assert await is_indexed(resources, live, namespace)
    assert await execute_sql_as_system(resources, "select memory_id from vector_removals") == []
    assert await inspect_index(resources) is IndexCondition.COMPLETE


async def test_sweep_removes_what_was_archived_before_a_crash(
    repair_resources: Resources, namespace: Namespace
) -> None:
    (memory_id,) = await add_memories(repair_resources, namespace, "I fly gliders")
    await wait_until_indexed(repair_resources, namespace)
    # The process ends after the commit, before it tells the index.
    await execute_sql(repair_resources, namespace, "update memories set archived_at = now()")
    assert await is_indexed(repair_resources, memory_id, namespace)
    await sweep(repair_resources, older_than_seconds=0)
    assert not await is_indexed(repair_resources, memory_id, namespace)
