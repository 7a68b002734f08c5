"""`reindex` from the command line: in this process, or, where a server holds the embedded index, in that one."""

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
from app.settings import Settings
from app.wiring import open_resources, open_store

POLL_SECONDS = 0.2
START_SECONDS = 60


async def reindex_everything(settings: Settings) -> None:
    if served(settings.data_dir) and settings.database_url is None:
        await _ask_the_server(settings)
        return
    async with open_resources(settings, rebuilding=True) as resources:
        work = asyncio.create_task(rebuild_index(resources))
        await _watch(resources.database, work)
        await work


def served(data_dir: Path) -> bool:
    """Whether a server holds the lock on this folder."""
    path = data_dir / "serve.lock"
    if not path.exists():
        return False
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def _ask_the_server(settings: Settings) -> None:
    async with open_store(settings) as database:
        async with database.system() as tx:
            await tx.execute(text("delete from maintenance where name = :name"), {"name": REBUILD_NAME})
            await defer(tx, reindex)
        waiting = asyncio.create_task(_until_finished(settings, database))
        await _watch(database, waiting)
        await waiting


async def _until_finished(settings: Settings, database: Database) -> None:
    """The server may stop, or run no jobs: then nobody would ever finish."""
    waited = 0.0
    while (found := await _look(database)) is None or found.state != "finished":
        if not served(settings.data_dir):
            raise ConfigurationError("The server that was to rebuild the index has stopped: try again")
        if found is not None and found.state == "failed":
            raise ConfigurationError("The index could not be rebuilt: see the server's log, then try again")
        if found is None and waited > START_SECONDS:
            raise ConfigurationError("The server does not take the job: start it with WORKER=true, then try again")
        await asyncio.sleep(POLL_SECONDS)
        waited += POLL_SECONDS


async def _watch(database: Database, work: "asyncio.Task[Any]") -> None:
    with Progress() as bar:
        task = bar.add_task("Reindexing", total=None)
        while not work.done():
            found = await _look(database)
            if found is not None:
                bar.update(task, completed=found.done, total=found.total or None)
            await asyncio.sleep(POLL_SECONDS)


async def _look(database: Database) -> "Row[tuple[int, int, str]] | None":
    async with database.system() as tx:
        return (await tx.execute(SELECT_REBUILD_PROGRESS_SQL, {"name": REBUILD_NAME})).first()
