"""The index is lost, half deleted, truncated or overwritten. Every memory is found again, without a person."""

import asyncio
import os
import random
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from _pytest.mark import ParameterSet
from sqlalchemy import text

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.adapters.vectors.qdrant import QdrantIndex
from app.core.background_tasks import run_supervised
from app.core.database.migrations import migrate
from app.core.errors import ConfigurationError
from app.core.http.status_reports import run_checks
from app.core.resources import IndexRepair, Resources
from app.identity.local import GRANTS, SHIM
from app.main import create_app
from app.memory.indexing import Indexer, IndexWatch, rebuild_index
from app.memory.namespace import Namespace
from app.reindex import reindex_everything
from app.settings import Settings, VectorStore
from app.wiring import open_resources
from app.worker import run_jobs
from tests.conftest import open_client
from tests.contracts.vector_index import LastingClient
from tests.e2e.server import ROOT, environment, serving
from tests.faults.test_full_disk import USERS, check_that_all_is_there, load_on
from tests.memory.namespaces import add_memories, create_namespace, execute_sql, new_project, search, wait_until_indexed
from tests.model_server import ModelServer
from tests.patience import PATIENCE_SECONDS

Damage = Callable[[Path], None]
THINGS = ("marbles", "boats", "kites", "drums", "lamps", "clocks")
MEMORIES = tuple(f"I own {number} {thing}" for thing in THINGS for number in range(1, 11))


@dataclass
class LedgerWithIndex:
    """A database with memories, and the folder of their index."""

    settings: Settings
    namespace: Namespace

    @property
    def index(self) -> Path:
        return self.settings.data_dir / "index"

    @asynccontextmanager
    async def repaired(self) -> AsyncIterator[Resources]:
        """A start that has finished its repairs."""
        async with open_resources(self.settings) as resources, run_jobs(resources, concurrency=1, inspects_index=True):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not resources.index_repair.is_inspected:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            yield resources

    async def missing(self, resources: Resources) -> list[str]:
        """What a search for its own words does not find first."""
        found = {text: await search(resources, self.namespace, text, top_k=1) for text in MEMORIES}
        return [text for text, best in found.items() if [each.memory.content for each in best] != [text]]


@pytest_asyncio.fixture(scope="module")
async def ledger(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LedgerWithIndex]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    await server.start()
    migrate(server.url("postgres"), [SHIM], [GRANTS])
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("lost"),
        database_url=server.url("keepsake_app"),
        admin_database_url=server.url("postgres"),
    )
    async with open_resources(settings) as resources:
        namespace = await create_namespace(resources, await new_project(resources))
        await add_memories(resources, namespace, *MEMORIES)
        await wait_until_indexed(resources, namespace)
    yield LedgerWithIndex(settings, namespace)
    await server.stop()


def files_of(index: Path, pattern: str = "*") -> list[Path]:
    files = [path for path in sorted(index.rglob(pattern)) if path.is_file() and path.name != "lock"]
    assert files
    return files


def lose(index: Path) -> None:
    shutil.rmtree(index)


def empty(index: Path) -> None:
    lose(index)
    index.mkdir()


def delete_segments(index: Path) -> None:
    for folder in index.rglob("segments"):
        shutil.rmtree(folder)


def delete_every_other_file(index: Path) -> None:
    for file in files_of(index)[::2]:
        file.unlink()


def delete_ids(index: Path) -> None:
    for file in files_of(index, "*id_tracker.mappings"):
        file.unlink()


def cut_ids_in_half(index: Path) -> None:
    for file in files_of(index, "*id_tracker.mappings"):
        os.truncate(file, file.stat().st_size // 2)


def cut_everything_in_half(index: Path) -> None:
    for file in files_of(index):
        os.truncate(file, file.stat().st_size // 2)


def overwrite_everything(index: Path) -> None:
    for file in files_of(index):
        overwrite(file)


def overwrite_vectors(index: Path) -> None:
    for file in files_of(index / "generation-1" if (index / "generation-1").exists() else index, "chunk_0.mmap"):
        overwrite(file)


def overwrite(file: Path) -> None:
    """Later than in the second in which the index was closed."""
    size = file.stat().st_size
    with file.open("r+b") as writer:
        writer.write(random.Random(1).randbytes(min(size, 1 << 20)))
    os.utime(file, (file.stat().st_atime + 60, file.stat().st_mtime + 60))


def delete_vectors(index: Path) -> None:
    for file in files_of(index, "chunk_0.mmap"):
        file.unlink()


def delete_pointer(index: Path) -> None:
    (index / "CURRENT").unlink()


def overwrite_pointer(index: Path) -> None:
    (index / "CURRENT").write_bytes(b"\xff\x00../..")


def delete_marker(index: Path) -> None:
    for file in files_of(index, "made_by.json"):
        file.unlink()


def overwrite_markers(index: Path) -> None:
    for file in [*files_of(index, "made_by.json"), *files_of(index, "closed.json")]:
        file.write_bytes(b"\xffno JSON")


def replace_generation_by_file(index: Path) -> None:
    name = (index / "CURRENT").read_text()
    shutil.rmtree(index / name)
    (index / name).write_text("no folder")


def rarely(damage: Damage) -> ParameterSet:
    return pytest.param(damage, marks=pytest.mark.long)


DAMAGES = (
    lose,
    rarely(empty),
    delete_segments,
    rarely(delete_every_other_file),
    rarely(delete_ids),
    cut_ids_in_half,
    rarely(cut_everything_in_half),
    overwrite_everything,
    overwrite_vectors,
    rarely(delete_vectors),
    rarely(delete_pointer),
    overwrite_pointer,
    rarely(delete_marker),
    overwrite_markers,
    rarely(replace_generation_by_file),
)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_start_repairs_a_damaged_index(ledger: LedgerWithIndex, damage: Damage) -> None:
    damage(ledger.index)
    async with ledger.repaired() as resources:
        assert await ledger.missing(resources) == []


@pytest.mark.parametrize(
    "damage", [rarely(lose), cut_everything_in_half, rarely(overwrite_everything), rarely(overwrite_markers)]
)
async def test_reindex_mends_a_damaged_index(ledger: LedgerWithIndex, damage: Damage) -> None:
    damage(ledger.index)
    await reindex_everything(ledger.settings)
    async with open_resources(ledger.settings) as resources:
        assert await ledger.missing(resources) == []


async def test_reindex_refuses_another_embedder_than_the_one_of_the_server(
    ledger: LedgerWithIndex, model_server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"embedder": "openai", "embedder_model": "other", "embedder_base_url": model_server.url}
    async with open_resources(ledger.settings) as resources, run_jobs(resources, concurrency=1):
        with pytest.raises(
            ConfigurationError, match=r"embeds with onnx:\S+ \(384 dimensions\).*Stop the server.*reindex"
        ):
            await reindex_everything(ledger.settings.model_copy(update=other))
        await reindex_everything(ledger.settings)
        assert await ledger.missing(resources) == []
    assert "100%" in capsys.readouterr().out


async def test_readiness_and_metrics_name_a_repair_while_searches_go_on(ledger: LedgerWithIndex) -> None:
    lose(ledger.index)
    seen = set[str]()
    async with (
        open_resources(ledger.settings) as resources,
        open_client(create_app(resources)) as client,
        run_jobs(resources, concurrency=1, inspects_index=True),
    ):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not resources.index_repair.is_inspected:
                # Not by a request: its response is kept for longer than this repair takes.
                seen.add((await run_checks(resources))["complete_index"])
                await search(resources, ledger.namespace, "marbles")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await client.get("/v1/ready")).json()["status"] != "ready":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert "keepsake_index_repairing 0.0" in (await client.get("/metrics")).text
    assert "unavailable" in seen
    assert "complete_index" not in resources.essential, "searches go on, so the server stays ready"


async def test_complete_index_is_left_alone(ledger: LedgerWithIndex) -> None:
    async with ledger.repaired():
        pass
    before = (ledger.index / "CURRENT").read_text()
    async with ledger.repaired() as resources:
        assert await ledger.missing(resources) == []
    assert (ledger.index / "CURRENT").read_text() == before


async def test_index_with_the_right_count_of_other_memories_is_repaired(ledger: LedgerWithIndex) -> None:
    """As if the folder of another installation had been copied."""
    async with open_resources(ledger.settings) as resources:
        other = await create_namespace(resources, await new_project(resources))
        await add_memories(resources, other, *MEMORIES)
        await (await wait_until_indexed(resources, other)).remove(
            [each.memory.id for each in await search(resources, ledger.namespace, "own", top_k=len(MEMORIES))]
        )
        await execute_sql(resources, other, "delete from memories where namespace = :name", name=str(other))
        assert await resources.index.count() == len(MEMORIES)
    async with ledger.repaired() as resources:
        assert await ledger.missing(resources) == []


async def test_index_in_postgres_is_filled_up(ledger: LedgerWithIndex) -> None:
    """It is empty at first, as after a change of `VECTOR_STORE`; then half of it is deleted."""
    moved = replace(ledger, settings=ledger.settings.model_copy(update={"vector_store": VectorStore.PGVECTOR}))
    async with moved.repaired() as resources:
        assert await moved.missing(resources) == []
        async with resources.database.system() as tx:
            await tx.execute(
                text("delete from memory_vectors where memory_id < '80000000-0000-0000-0000-000000000000'")
            )
        assert await moved.missing(resources) != []
    async with moved.repaired() as resources:
        assert await moved.missing(resources) == []


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")  # from the in-memory client
async def test_deleted_collection_is_created_and_filled_again(ledger: LedgerWithIndex) -> None:
    client = LastingClient(":memory:")
    async with open_resources(ledger.settings) as resources:
        embedder = resources.embedder
        index = await QdrantIndex.open(client, embedder.name, embedder.dimensions)
        queue = Indexer(resources.database, embedder, index)
        queue.start()
        moved = replace(resources, index=index, index_queue=queue, index_repair=IndexRepair())
        await inspect(moved)
        assert await ledger.missing(moved) == []
        for collection in (await client.get_collections()).collections:
            await client.delete_collection(collection.name)
        await rebuild_index(moved)
        assert await ledger.missing(moved) == []
        await queue.close()


async def inspect(resources: Resources) -> None:
    watch = IndexWatch(resources, inspects=True)
    async with run_supervised(resources.supervised_tasks, watch.supervised), asyncio.timeout(PATIENCE_SECONDS):
        while not resources.index_repair.is_inspected:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.long
@pytest.mark.parametrize("damage", [lose, cut_everything_in_half, overwrite_everything])
async def test_killed_server_repairs_its_damaged_index(tmp_path: Path, damage: Damage) -> None:
    """And the command `reindex` mends what is deleted while the server runs."""
    data_dir = tmp_path / "data"
    with serving(data_dir) as keepsake:
        async with load_on(keepsake) as load:
            for _ in range(20):
                await asyncio.gather(*(load.add(user) for user in USERS))
            key = (await load.client.post("/v1/api-keys", json={"name": "load"})).json()["key"]
            keepsake.process.kill()
            keepsake.wait()
    damage(data_dir / "index")
    with serving(data_dir) as keepsake:
        async with httpx.AsyncClient(base_url=keepsake.address, headers={"X-API-Key": key}, timeout=60) as load.client:
            await check_that_all_is_there(load, sample=20)
            delete_segments(data_dir / "index")
            arguments = [sys.executable, "-m", "app", "reindex"]
            command = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, env=environment(data_dir))
            assert await command.wait() == 0
            await check_that_all_is_there(load, sample=20)
        assert keepsake.stop() == 0, keepsake.output[-5:]
