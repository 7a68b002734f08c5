"""A vector store that `reindex` fills before the servers change to it, and two indexes in one store."""

import fcntl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.adapters.vectors.milvus import connect_milvus
from app.adapters.vectors.pgvector import PgVectorIndex
from app.adapters.vectors.qdrant import QdrantIndex
from app.adapters.vectors.split_index import SplitIndex
from app.core.ports import Embedder, EmbedderChoice, VectorIndex
from app.core.resources import Resources
from app.erasure.erase import erase
from app.erasure.models import SubjectKind
from app.erasure.subject import Subject
from app.identity.caller import Caller
from app.identity.scopes import EVERYTHING
from app.memory.embedders import EmbedderChoices, EmbedderRouter, IndexRouter
from app.memory.indexing import Indexer, rebuild_index, sweep
from app.memory.indexing.moved_index import complete_move, read_clock, record_move
from app.memory.namespace import Namespace
from app.reindex import is_index_held
from app.wiring.models import MULTILINGUAL_SUFFIX
from tests.contracts.chroma import embedded_engine, embedded_store
from tests.contracts.vector_index import LastingClient
from tests.memory.indexing.test_change_embedder import choose, held, refresh, set_phase
from tests.memory.indexing.test_repair import FakeEmbedder
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql_as_system,
    new_project,
    put_vector,
    search,
    wait_until_indexed,
)

ENGLISH, MULTILINGUAL = EmbedderChoice
LOCAL_QDRANT = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
OpenIndex = Callable[[Embedder, str], Awaitable[VectorIndex]]
"""Opens the index of an embedder under a name with a suffix, as wiring does."""


@pytest_asyncio.fixture
async def own_namespace(own_resources: Resources) -> Namespace:
    return await create_namespace(own_resources, await new_project(own_resources))


async def test_first_start_indexes_what_changed_since_the_store_was_filled(
    own_resources: Resources, own_namespace: Namespace
) -> None:
    """As after a move: one memory has the vector of its old text, and one was deleted from the old store only."""
    moved = replace(own_resources, config=replace(own_resources.config, vector_store="chroma"))
    started = await read_clock(own_resources.database)
    ids = await add_memories(own_resources, own_namespace, "I own a red boat", "I own a blue kite")
    await wait_until_indexed(own_resources, own_namespace)
    await put_vector(own_resources, own_namespace, "Penguins live in the south", ids[0])
    orphan = await put_vector(own_resources, own_namespace, "I own a drum")

    await record_move(own_resources.database, "another store", started)
    await complete_move(moved)
    await wait_until_indexed(own_resources, own_namespace)
    assert contents(await search(own_resources, own_namespace, "penguins", top_k=1)) == ["I own a red boat"]

    await record_move(own_resources.database, "chroma", started)
    await complete_move(moved)
    await wait_until_indexed(own_resources, own_namespace)
    assert contents(await search(own_resources, own_namespace, "a red boat", top_k=1)) == ["I own a red boat"]
    assert await own_resources.index.find_existing([*ids, orphan]) == set(ids)


async def test_second_start_changes_nothing(own_resources: Resources, own_namespace: Namespace) -> None:
    await record_move(own_resources.database, "edge", await read_clock(own_resources.database))
    await complete_move(own_resources)
    stray = await put_vector(own_resources, own_namespace, "I own a lamp", uuid.uuid4())
    await complete_move(own_resources)
    assert await own_resources.index.find_existing([stray]) == {stray}


def test_embedded_index_is_held_only_while_a_process_has_it_open(tmp_path: Path) -> None:
    """Else `reindex` fills it itself, although a server with another vector store runs in the same folder."""
    assert not is_index_held(tmp_path)
    (tmp_path / "index").mkdir()
    with (tmp_path / "index" / "lock").open("ab") as lock:
        assert not is_index_held(tmp_path)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_index_held(tmp_path)
    assert not is_index_held(tmp_path)


# ---------------------------------------------------------------- two indexes in one store


@pytest.fixture(scope="module")
def chroma_engine() -> Iterator[Any]:
    with embedded_engine() as engine:
        yield engine


@pytest.fixture(params=["qdrant", "pgvector", "chroma", "milvus"])
def open_index(request: pytest.FixtureRequest, own_resources: Resources) -> OpenIndex:
    database = own_resources.database
    if request.param == "qdrant":
        client = LastingClient(":memory:")
        return lambda made_by, suffix: QdrantIndex.open(client, made_by.name, made_by.dimensions, name=f"q{suffix}")
    if request.param == "pgvector":
        return lambda made_by, suffix: PgVectorIndex.open(
            database, made_by.name, made_by.dimensions, name=f"default{suffix}"
        )
    if request.param == "chroma":
        connect = partial(chroma_client, request.getfixturevalue("chroma_engine"))
    else:
        connect = partial(connect_milvus, request.getfixturevalue("milvus_lite"), None, database=None)

    async def open_split(made_by: Embedder, suffix: str) -> VectorIndex:
        client, name = await connect(), f"keepsake{suffix}"
        return await SplitIndex.open(client, database, made_by.name, made_by.dimensions, store=request.param, name=name)

    return open_split


async def chroma_client(engine: object) -> Any:
    return embedded_store(engine)


@pytest_asyncio.fixture
async def stored(own_resources: Resources, open_index: OpenIndex) -> AsyncIterator[Resources]:
    """A store with the indexes of two small embedders."""
    default, second = FakeEmbedder("test:default", 4), FakeEmbedder("test:second", 7)

    async def open_second() -> Embedder:
        return second

    choices = EmbedderChoices(own_resources.database)
    embedder = EmbedderRouter(default, choices, open_second)
    index = IndexRouter(
        await open_index(default, ""), embedder, choices, partial(open_index, second, MULTILINGUAL_SUFFIX)
    )
    queue = Indexer(own_resources.database, embedder, index, choices=choices, idle_seconds=0.05)
    queue.start()
    yield replace(own_resources, embedder=embedder, index=index, index_queue=queue)
    await queue.close()
    await execute_sql_as_system(own_resources, "delete from projects")
    await index.close()


@LOCAL_QDRANT
async def test_projects_with_different_embedders_share_a_store(stored: Resources) -> None:
    one, other = [await create_namespace(stored, await new_project(stored)) for _ in range(2)]
    ids = await add_memories(stored, one, "I own a red boat", "I own a kite")
    others = await add_memories(stored, other, "I own a red boat", "I own a lamp")
    await wait_until_indexed(stored, one)
    await wait_until_indexed(stored, other)
    await choose(stored, other.project_id, "multilingual")
    for is_rebuilt in (False, True):
        if is_rebuilt:
            await stored.index.remove([*ids, *others])
            await rebuild_index(stored)
        assert await held(stored, ENGLISH, [*ids, *others]) == ids
        assert await held(stored, MULTILINGUAL, [*ids, *others]) == others
        assert await found_ids(stored, one, "I own a red boat") == ids
        assert await found_ids(stored, other, "I own a red boat") == others


@LOCAL_QDRANT
async def test_what_is_erased_leaves_both_indexes_of_a_store(stored: Resources) -> None:
    """Both have a project whose embedder changes."""
    projects = [await new_project(stored) for _ in range(2)]
    for each in projects:
        await choose(stored, each, "multilingual", change=False)
        await set_phase(stored, each, "filling")
    await refresh(stored)
    ann, ben = [await create_namespace(stored, projects[0], user) for user in ("ann", "ben")]
    of_deleted_project = await create_namespace(stored, projects[1])
    added = [(await add_memories(stored, each, "I own a boat"))[0] for each in (ann, ben, of_deleted_project)]
    await wait_until_indexed(stored, ann)
    await wait_until_indexed(stored, of_deleted_project)
    assert [await held(stored, each, added) for each in EmbedderChoice] == [added, added]
    caller = Caller(project_id=projects[0], organization_id=uuid.uuid4(), scopes=EVERYTHING)
    erasure = await erase(stored, caller, Subject(SubjectKind.USER, "ann"))
    assert erasure.state == "finished"
    assert [await held(stored, each, added) for each in EmbedderChoice] == [added[1:], added[1:]]
    await execute_sql_as_system(stored, "delete from projects where id = :id", id=projects[1])
    await sweep(stored, older_than_seconds=0)
    assert [await held(stored, each, added) for each in EmbedderChoice] == [added[1:2], added[1:2]]


async def found_ids(resources: Resources, namespace: Namespace, question: str) -> list[uuid.UUID]:
    return [each.memory.id for each in await search(resources, namespace, question, top_k=10)]
