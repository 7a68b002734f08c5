"""The command `reindex`. It fills the vector store of the settings, which need not be the one that a server uses.

An embedded index that a server holds is rebuilt by that server, every other one by this process.
"""

import asyncio
import fcntl
from pathlib import Path
from typing import Any

from rich.progress import Progress
from sqlalchemy import Row, text

from app.core.database.database import Database
from app.core.errors import ConfigurationError
from app.core.jobs import defer
from app.memory.indexing import REBUILD_NAME, SELECT_REBUILD_PROGRESS_SQL, rebuild_index
from app.memory.indexing.jobs import reindex
from app.memory.indexing.moved_index import read_clock, record_move
from app.settings import Settings, VectorStore
from app.wiring import open_resources, open_store
from app.wiring.models import EDGE_FOLDER, choose_vector_store, require_embedder_of_server

DELETE_REBUILD_PROGRESS_SQL = text("delete from maintenance where name = :name")
POLL_SECONDS = 0.2
START_SECONDS = 60


async def reindex_everything(settings: Settings) -> None:
    if choose_vector_store(settings) is VectorStore.EDGE and is_index_held(settings.data_dir):
        await require_embedder_of_server(settings)
        await _rebuild_in_server(settings)
        return
    async with open_resources(settings, rebuilding=True) as resources:
        started = await read_clock(resources.database)
        work = asyncio.create_task(rebuild_index(resources))
        await _show_progress(resources.database, work)
        await work
        await record_move(resources.database, resources.config.vector_store, started)


def is_index_held(data_dir: Path) -> bool:
    """Whether a server holds the lock on the embedded index of this folder."""
    path = data_dir / EDGE_FOLDER / "lock"
    if not path.exists():
        return False
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def _rebuild_in_server(settings: Settings) -> None:
    async with open_store(settings) as database:
        async with database.system() as tx:
            await tx.execute(DELETE_REBUILD_PROGRESS_SQL, {"name": REBUILD_NAME})
            await defer(tx, reindex)
        waiting = asyncio.create_task(_wait_until_finished(settings, database))
        await _show_progress(database, waiting)
        await waiting


async def _wait_until_finished(settings: Settings, database: Database) -> None:
    """Fails if the server stops or runs no jobs, because the rebuild would then never finish."""
    waited = 0.0
    while (progress := await _select_progress(database)) is None or progress.state != "finished":
        if not is_index_held(settings.data_dir):
            raise ConfigurationError("The server stopped while it rebuilt the index. Try again.")
        if progress is not None and progress.state == "failed":
            raise ConfigurationError("The index could not be rebuilt. See the server's log, then try again.")
        if progress is None and waited > START_SECONDS:
            raise ConfigurationError("The server does not run jobs. Start it with WORKER=true, then try again.")
        await asyncio.sleep(POLL_SECONDS)
        waited += POLL_SECONDS


async def _show_progress(database: Database, work: "asyncio.Task[Any]") -> None:
    with Progress() as bar:
        task = bar.add_task("Reindexing", total=None)
        is_done = False
        while not is_done:
            # Asked before the figures are read, so that the last ones are shown.
            is_done = work.done()
            progress = await _select_progress(database)
            if progress is not None:
                bar.update(task, completed=progress.done, total=progress.total or None)
            await asyncio.wait([work], timeout=POLL_SECONDS)


async def _select_progress(database: Database) -> "Row[tuple[int, int, str]] | None":
    async with database.system() as tx:
        return (await tx.execute(SELECT_REBUILD_PROGRESS_SQL, {"name": REBUILD_NAME})).first()
