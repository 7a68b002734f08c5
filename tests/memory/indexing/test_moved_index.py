"""A vector store that `reindex` filled before the servers changed to it gets what was written meanwhile."""

import fcntl
import uuid
from dataclasses import replace
from pathlib import Path

import pytest_asyncio

from app.core.resources import Resources
from app.memory.indexing.moved_index import complete_move, read_clock, record_move
from app.memory.namespace import Namespace
from app.reindex import is_index_held
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    new_project,
    put_vector,
    search,
    wait_until_indexed,
)


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
