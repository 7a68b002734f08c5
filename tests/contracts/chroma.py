"""Chroma for tests: its engine in this process, and its real server on loopback."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from app.adapters.vectors.split_index import SplitIndex
from app.core.database.database import Database
from app.core.errors import Unavailable
from tests.contracts.vector_index import Store, new_project_of
from tests.loopback import free_port
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from app.adapters.vectors.chroma import ChromaStore

COMMAND = Path(sys.executable).with_name("chroma")


class EngineInThreads:
    """Chroma's engine in this process has the functions of its server, but they block."""

    def __init__(self, engine: object) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return partial(asyncio.to_thread, getattr(self._engine, name))


async def nothing() -> None:
    return None


@contextmanager
def embedded_engine(folder: Path | None = None) -> Iterator[Any]:
    """Importing Chroma takes a second, so only the tests that use it do."""
    from chromadb.api.rust import RustBindingsAPI  # noqa: PLC0415
    from chromadb.config import Settings, System  # noqa: PLC0415

    system = System(
        Settings(anonymized_telemetry=False, is_persistent=folder is not None, persist_directory=str(folder or ""))
    )
    engine = system.instance(RustBindingsAPI)
    system.start()
    yield EngineInThreads(engine)
    system.stop()


def embedded_store(engine: Any) -> "ChromaStore":
    from app.adapters.vectors.chroma import ChromaStore  # noqa: PLC0415

    return ChromaStore(engine, tenant="default_tenant", database="default_database", close=nothing)


def chroma_store(database: Database, engine: Any) -> Store:
    """Each has collections of its own."""

    async def connect() -> "ChromaStore":
        return embedded_store(engine)

    return split_store(database, connect)


def split_store(database: Database, connect: "Callable[[], Awaitable[ChromaStore]]") -> Store:
    name = f"test-{uuid4().hex[:12]}"

    async def open_index(embedder: str, dimensions: int) -> SplitIndex:
        client = await connect()
        return await SplitIndex.open(client, database, embedder, dimensions, store="chroma", name=name)

    return Store(open_index, partial(new_project_of, database))


class ChromaProcess:
    """`chroma run` on loopback. It can be killed and started again with the same folder and port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self._launch)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(Unavailable):
                    await (await self.connect()).close()
                    return

    def _launch(self) -> None:
        command = [str(COMMAND), "run", "--path", str(self._folder), "--host", "127.0.0.1", "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def connect(self) -> "ChromaStore":
        from app.adapters.vectors.chroma import connect_chroma  # noqa: PLC0415

        return await connect_chroma(self.url, None, tenant="default_tenant", database="default_database")


@asynccontextmanager
async def chroma_process(folder: Path) -> AsyncIterator[ChromaProcess]:
    process = ChromaProcess(folder)
    await process.start()
    try:
        yield process
    finally:
        process.kill()
