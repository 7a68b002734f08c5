"""The folder of the embedded index: who may use it, which generation is current, and what replaces a damaged one.

The index is derived from the ledger. So a generation that cannot be loaded is set aside, and an empty one takes its
place: the ledger fills it in the background.
"""

import fcntl
import re
import shutil
from pathlib import Path
from typing import IO

import structlog

from app.adapters.vectors.edge_shard import DamagedIndexError, Generation, read_marker, write_durably
from app.core.database.disk_space import DiskSpace
from app.core.errors import ConfigurationError

log = structlog.get_logger()
POINTER_FILE = "CURRENT"
SET_ASIDE = "damaged"
GENERATION_NAME = re.compile(r"generation-(\d+)")


def lock_folder(path: Path) -> IO[bytes]:
    """One process at a time. The operating system releases the lock when the process ends, however it ends."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = (path / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ConfigurationError(
            f"Another process uses the embedded vector index in {path.resolve()}. Stop it, or set QDRANT_URL or"
            " VECTOR_STORE=pgvector to share one index."
        ) from None
    return lock


def require_space_to_load(path: Path) -> None:
    """Loading writes, too: it creates files and repeats what was not flushed."""
    if DiskSpace(path).is_nearly_used_up():
        raise ConfigurationError(
            f"The disk of DATA_DIR ({path.parent}) is full. Free some space, or set DATA_DIR to a folder on another"
            " disk. Stored data is not damaged."
        )


def open_current(path: Path, embedder: str, dimensions: int) -> Generation:
    current = find_current(path)
    if current is not None:
        delete_other_folders(path, current)
        try:
            return Generation.load(current)
        except DamagedIndexError as error:
            set_aside(path, current, error)
    first = Generation.create(path / next_name(path), embedder, dimensions)
    point_to(path, first.folder)
    return first


def read_embedder(path: Path) -> tuple[str, int] | None:
    """The name and dimensions of the embedder of an index that another process may hold. None if it is unreadable."""
    try:
        return read_marker(path / (path / POINTER_FILE).read_text(errors="replace").strip())
    except (OSError, DamagedIndexError):
        return None


def find_current(path: Path) -> Path | None:
    """The generation that the pointer names. Without a readable pointer, the only one there is."""
    pointer = path / POINTER_FILE
    named = path / pointer.read_text(errors="replace").strip() if pointer.is_file() else None
    generations = [folder for folder in path.iterdir() if GENERATION_NAME.fullmatch(folder.name) and folder.is_dir()]
    if named in generations:
        return named
    if named is not None or generations:
        log.error("index.pointer_lost", folder=str(path), generations=len(generations))
    if len(generations) != 1:
        return None
    point_to(path, generations[0])
    return generations[0]


def point_to(path: Path, generation: Path) -> None:
    """Replacing the pointer is what makes a generation the current one."""
    write_durably(path / POINTER_FILE, generation.name)


def set_aside(path: Path, generation: Path, error: DamagedIndexError) -> None:
    """Keeps it for an inspection until the next start."""
    shutil.rmtree(path / SET_ASIDE, ignore_errors=True)
    generation.rename(path / SET_ASIDE)
    log.error("index.damaged", folder=str(path / SET_ASIDE), exc_info=error)


def delete_other_folders(path: Path, current: Path) -> None:
    """A crash leaves an unfinished rebuild, or the index that a rebuild had just replaced."""
    for folder in path.iterdir():
        if folder.is_dir() and folder != current:
            shutil.rmtree(folder)


def next_name(path: Path) -> str:
    numbers = [int(match[1]) for each in path.iterdir() if (match := GENERATION_NAME.fullmatch(each.name))]
    return f"generation-{max(numbers, default=0) + 1}"
