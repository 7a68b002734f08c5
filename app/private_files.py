"""Files that only the server's own user can read."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

OWN_NAMES = ("identity", "index", "index_multilingual", "serve.lock", "postgres.lock", "postgres.users", "postgres.log")
"""What the server creates in DATA_DIR, which may contain other files too. Postgres checks its own folders itself."""


def keep_files_private(data_dir: Path) -> None:
    """Close new files to other users, whatever creates them, and those that earlier versions created."""
    os.umask(0o077)
    for path in _own_paths(data_dir):
        with contextlib.suppress(OSError):  # a running server replaces files, and DATA_DIR is checked later
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & 0o077:
                path.chmod(stat.S_IMODE(mode) & ~0o077)


def _own_paths(data_dir: Path) -> Iterator[Path]:
    for name in OWN_NAMES:
        yield data_dir / name
        for folder, folders, files in os.walk(data_dir / name):
            yield from (Path(folder) / each for each in (*folders, *files))
