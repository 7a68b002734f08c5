"""Behaviour that only the embedded index has: crashes, a second process, folders."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from app.adapters.vectors.edge_shard import Generation
from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
from app.core.errors import ConfigurationError, DiskFull
from app.core.ports import VectorIndex
from tests.contracts.vector_index import DIMENSIONS, EMBEDDER, NamespaceEntries, unit
from tests.faults.small_disk import small_disk

WRITER = """
import asyncio, sys, uuid
from pathlib import Path
from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
from tests.contracts.vector_index import DIMENSIONS, EMBEDDER, NamespaceEntries

async def write(path, project):
    index = await QdrantEdgeIndex.open(path, EMBEDDER, DIMENSIONS)
    home = NamespaceEntries(project, "home")
    while True:
        entries = home.entries(3)
        await index.upsert(entries)
        await index.remove([entries[1].id])
        print(entries[0].id, entries[1].id, entries[2].id, flush=True)

asyncio.run(write(Path(sys.argv[1]), uuid.UUID(sys.argv[2])))
"""
OPENER = """
import asyncio, sys
from pathlib import Path
from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
asyncio.run(QdrantEdgeIndex.open(Path(sys.argv[1]), "test:embedder", 8))
"""


async def open_edge(path: Path) -> QdrantEdgeIndex:
    return await QdrantEdgeIndex.open(path, EMBEDDER, DIMENSIONS)


def write_and_be_killed(folder: Path, project: uuid.UUID, writes: int) -> list[list[uuid.UUID]]:
    """Kills the process in the middle of its work and returns the writes that it acknowledged before."""
    arguments = [sys.executable, "-c", WRITER, str(folder), str(project)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(writes)]
        writer.kill()
        lines += writer.stdout.readlines()
    return [[uuid.UUID(word) for word in line.split()] for line in lines if line.endswith("\n")]


def open_elsewhere(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", OPENER, str(folder)], capture_output=True, text=True, check=False)


# 700 writes are more than one flush.
@pytest.mark.parametrize("writes", [1, 50, 700])
async def test_crash_loses_no_acknowledged_write(tmp_path: Path, writes: int) -> None:
    project = uuid.uuid4()
    acknowledged = write_and_be_killed(tmp_path, project, writes)
    assert len(acknowledged) >= writes
    index = await open_edge(tmp_path)
    kept = {each for first, _, last in acknowledged for each in (first, last)}
    assert await index.find_existing(list(kept)) == kept
    assert await index.find_existing([removed for _, removed, _ in acknowledged]) == set()
    found = await index.find_candidates(NamespaceEntries(project, "home").scope(), unit(1), "everything", 10_000)
    assert {each.id for each in found} >= kept
    await index.close()


async def test_second_process_is_told_what_to_configure(tmp_path: Path) -> None:
    index = await open_edge(tmp_path)
    second = open_elsewhere(tmp_path)
    await index.close()
    assert second.returncode != 0
    assert "ConfigurationError: Another process uses the embedded vector index" in second.stderr
    assert "set QDRANT_URL or VECTOR_STORE=pgvector to share one index" in second.stderr


async def test_index_can_be_opened_only_once_until_it_is_closed(tmp_path: Path) -> None:
    first = await open_edge(tmp_path)
    with pytest.raises(ConfigurationError, match="Another process uses"):
        await open_edge(tmp_path)
    await first.close()
    await (await open_edge(tmp_path)).close()


async def test_crash_during_a_rebuild_leaves_the_old_index(tmp_path: Path) -> None:
    index, home = await open_edge(tmp_path), NamespaceEntries(uuid.uuid4(), "home")
    kept = home.entry("tea", 1)
    await index.upsert([kept])
    await index.close()
    (tmp_path / "generation-2" / "shard").mkdir(parents=True)
    (tmp_path / "CURRENT.new").write_text("generation-2")
    index = await open_edge(tmp_path)
    assert await index.find_existing([kept.id]) == {kept.id}
    assert not (tmp_path / "generation-2").exists()
    await index.close()


async def test_swap_leaves_one_folder(tmp_path: Path) -> None:
    index = await open_edge(tmp_path)
    await (await index.start_rebuild(EMBEDDER, DIMENSIONS)).swap()
    await (await index.start_rebuild(EMBEDDER, DIMENSIONS)).swap()
    await index.close()
    assert folders(tmp_path) == ["generation-3"]


async def test_idle_index_is_optimized_and_finds_the_same(tmp_path: Path) -> None:
    index = await QdrantEdgeIndex.open(tmp_path, EMBEDDER, DIMENSIONS, worth_optimizing=100, quiet_seconds=0)
    home = NamespaceEntries(uuid.uuid4(), "home")
    await index.upsert(home.entries(300))
    before = await index.find_candidates(home.scope(), unit(1), "word17", 20)
    unoptimized = segments(tmp_path)
    await index.run_housekeeping()
    assert segments(tmp_path) > unoptimized
    after = await index.find_candidates(home.scope(), unit(1), "word17", 20)
    assert [each.id for each in after] == [each.id for each in before]
    await index.close()


def segments(folder: Path) -> int:
    return len(folders(folder / "generation-1" / "shard" / "segments"))


def folders(path: Path) -> list[str]:
    return [each.name for each in path.iterdir() if each.is_dir()]


def no_text_in(folder: Path, needle: bytes) -> bool:
    return not any(needle in Path(root, name).read_bytes() for root, _, names in os.walk(folder) for name in names)


async def test_folder_contains_no_readable_word_of_a_memory(tmp_path: Path) -> None:
    index: VectorIndex = await open_edge(tmp_path)
    home = NamespaceEntries(uuid.uuid4(), "readable-namespace")
    await index.upsert([home.entry("unmistakable sentinel", 1)])
    await index.run_housekeeping()
    assert no_text_in(tmp_path, b"sentinel")
    assert not no_text_in(tmp_path, b"readable-namespace")
    await index.close()


async def test_full_disk_refuses_writes_and_the_same_index_resumes(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        folder, home = disk.folder / "index", NamespaceEntries(uuid.uuid4(), "home")
        index, kept = await open_edge(folder), home.entries(300)
        await index.upsert(kept)
        disk.fill()
        with pytest.raises(DiskFull):
            await index.upsert(home.entries(1))
        with pytest.raises(DiskFull):
            await index.remove([kept[0].id])
        with pytest.raises(DiskFull):
            await index.start_rebuild(EMBEDDER, DIMENSIONS)
        await index.run_housekeeping()
        assert len(await index.find_candidates(home.scope(), unit(1), "everything", 500)) == 300
        await index.close()
        with pytest.raises(ConfigurationError, match=r"^The disk of DATA_DIR \([^\n]*\) is full\. Free some space"):
            await open_edge(folder)

        disk.make_room()
        index, ids = await open_edge(folder), [each.id for each in kept]
        await index.remove(ids[:1])
        await index.upsert(home.entries(1))
        assert await index.find_existing(ids) == set(ids[1:])
        assert await index.count() == 300
        await index.close()


async def test_index_that_only_the_system_keeps_from_loading_is_not_set_aside(tmp_path: Path) -> None:
    await (await open_edge(tmp_path)).close()
    other = Generation.load(tmp_path / "generation-1")
    with pytest.raises(ConfigurationError, match=r"generation-1 cannot be opened .* The index is not damaged"):
        await open_edge(tmp_path)
    other.close()
    await (await open_edge(tmp_path)).close()
    assert folders(tmp_path) == ["generation-1"]


async def test_damaged_index_is_set_aside_until_the_next_start(tmp_path: Path) -> None:
    await (await open_edge(tmp_path)).close()
    (tmp_path / "generation-1" / "made_by.json").write_text("{")
    index = await open_edge(tmp_path)
    assert await index.count() == 0
    assert sorted(folders(tmp_path)) == ["damaged", "generation-1"]
    await index.close()
    await (await open_edge(tmp_path)).close()
    assert folders(tmp_path) == ["generation-1"]


@pytest.mark.parametrize("seconds", [0, 60])
async def test_index_whose_files_were_changed_needs_a_rebuild(tmp_path: Path, seconds: int) -> None:
    index = await open_edge(tmp_path)
    await index.upsert(NamespaceEntries(uuid.uuid4(), "home").entries(10))
    await index.close()
    change_later(tmp_path, seconds)
    index = await open_edge(tmp_path)
    assert index.needs_rebuild == (seconds > 0)
    await (await index.start_rebuild(EMBEDDER, DIMENSIONS)).swap()
    assert not index.needs_rebuild
    await index.close()


def change_later(folder: Path, seconds: int) -> None:
    for file in folder.rglob("*.mmap"):
        os.utime(file, (file.stat().st_atime, file.stat().st_mtime + seconds))
