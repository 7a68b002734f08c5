"""Starts each store in a folder of its own, without anything that must be installed by hand."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from sqlalchemy import text

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.adapters.vectors.pgvector import PgVectorIndex
from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
from app.adapters.vectors.split_index import SplitIndex
from app.core.database.database import Database
from app.core.database.migrations import migrate
from app.core.ports import VectorIndex
from app.identity.local import GRANTS, SHIM
from bench.stores.data import PROJECT

NAME, DIMENSIONS = "bench", 384
START_SECONDS = 120.0
INSERT_PROJECT_SQL = """
with o as (insert into organizations (name) values ('Bench') returning id)
insert into projects (id, organization_id, name) select :id, id, 'Bench' from o
"""


class LeftOutError(Exception):
    """Says why a store cannot be measured here."""


@dataclass
class RunningStore:
    open: Callable[[], Awaitable[VectorIndex]]
    processes: list[int]
    """Whose memory is that of the store."""
    seconds_to_start: float = 0.0

    def resident(self) -> int:
        return sum(resident_of(each) for each in self.processes)


def resident_of(process_id: int) -> int:
    process = psutil.Process(process_id)
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))


@asynccontextmanager
async def running_store(store: str, folder: Path) -> AsyncIterator[RunningStore]:
    async with AsyncExitStack() as stack:
        yield await STORES[store](folder, stack)


async def run_edge(folder: Path, stack: AsyncExitStack) -> RunningStore:
    del stack
    return RunningStore(lambda: QdrantEdgeIndex.open(folder / "edge", NAME, DIMENSIONS), [os.getpid()])


async def run_qdrant(folder: Path, stack: AsyncExitStack) -> RunningStore:
    from app.adapters.vectors.qdrant import QdrantIndex, connect_qdrant  # noqa: PLC0415

    binary = shutil.which("qdrant")
    if binary is None:
        raise LeftOutError("no package registry has its server. Put the program `qdrant` on the PATH to measure it")
    port, grpc = free_port(), free_port()
    settings = {"QDRANT__SERVICE__HTTP_PORT": str(port), "QDRANT__SERVICE__GRPC_PORT": str(grpc)}
    began = time.perf_counter()
    process = launch(stack, [binary], folder, QDRANT__TELEMETRY_DISABLED="true", **settings)
    await wait_for(f"http://127.0.0.1:{port}/readyz")

    async def open_index() -> VectorIndex:
        return await QdrantIndex.open(connect_qdrant(f"http://127.0.0.1:{port}", None), NAME, DIMENSIONS)

    return RunningStore(open_index, [process.pid], time.perf_counter() - began)


async def run_pgvector(folder: Path, stack: AsyncExitStack) -> RunningStore:
    database, server = await run_postgres(folder, stack)
    return RunningStore(lambda: PgVectorIndex.open(database, NAME, DIMENSIONS), [server])


async def run_chroma(folder: Path, stack: AsyncExitStack) -> RunningStore:
    from app.adapters.vectors.chroma import connect_chroma  # noqa: PLC0415

    database, postgres = await run_postgres(folder, stack)
    port = free_port()
    command = [beside_python("chroma"), "run", "--path", str(folder / "chroma"), "--host", "127.0.0.1"]
    began = time.perf_counter()
    process = launch(stack, [*command, "--port", str(port)], folder)
    await wait_for(f"http://127.0.0.1:{port}/api/v2/heartbeat")

    async def open_index() -> VectorIndex:
        url = f"http://127.0.0.1:{port}"
        client = await connect_chroma(url, None, tenant="default_tenant", database="default_database")
        return await SplitIndex.open(client, database, NAME, DIMENSIONS, store="chroma", name="bench")

    return RunningStore(open_index, [process.pid, postgres], time.perf_counter() - began)


async def run_milvus_lite(folder: Path, stack: AsyncExitStack) -> RunningStore:
    database, postgres = await run_postgres(folder, stack)
    return RunningStore(milvus_opener(database, str(folder / "milvus.db")), [os.getpid(), postgres])


async def run_milvus(folder: Path, stack: AsyncExitStack) -> RunningStore:
    from tests.contracts.milvus import PACKAGE, MilvusServer  # noqa: PLC0415

    if not (PACKAGE / "milvus").is_dir():
        raise LeftOutError("its server is not installed. Run `make milvus-server` to measure it")
    database, postgres = await run_postgres(folder, stack)
    server = MilvusServer(folder)
    began = time.perf_counter()
    await asyncio.to_thread(server.start)
    stack.callback(server.kill)
    assert server.process is not None
    processes = [server.process.pid, postgres]
    return RunningStore(milvus_opener(database, server.url), processes, time.perf_counter() - began)


def milvus_opener(database: Database, url: str) -> Callable[[], Awaitable[VectorIndex]]:
    from app.adapters.vectors.milvus import connect_milvus  # noqa: PLC0415

    async def open_index() -> VectorIndex:
        client = await connect_milvus(url, None, database=None)
        return await SplitIndex.open(client, database, NAME, DIMENSIONS, store="milvus", name="bench")

    return open_index


STORES = {
    "edge": run_edge,
    "qdrant": run_qdrant,
    "pgvector": run_pgvector,
    "milvus-lite": run_milvus_lite,
    "milvus": run_milvus,
    "chroma": run_chroma,
}


async def run_postgres(folder: Path, stack: AsyncExitStack) -> tuple[Database, int]:
    """The words of memories are there, whichever store has the vectors, other than with Qdrant."""
    server = EmbeddedPostgres(folder)
    await server.start()
    stack.push_async_callback(server.stop)
    await asyncio.to_thread(migrate, server.url("postgres"), [SHIM], [GRANTS])
    database = Database(server.url("keepsake_app"))
    stack.push_async_callback(database.close)
    async with database.system() as tx:
        await tx.execute(text(INSERT_PROJECT_SQL), {"id": PROJECT})
    return database, int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def launch(stack: AsyncExitStack, command: list[str], folder: Path, **settings: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


async def wait_for(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(START_SECONDS):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(url)).is_success:
                    return
            await asyncio.sleep(0.05)


def beside_python(program: str) -> str:
    return str(Path(sys.executable).with_name(program))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
