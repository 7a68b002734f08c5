"""Backup and restore: one file with a snapshot of the database and the identity keys. The server may keep running.

A backup contains no vectors. A restored instance computes them from the ledger.
"""

import asyncio
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO

import psycopg
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.core.errors import ConfigurationError
from app.settings import Settings
from app.wiring.postgres import find_postgres, postgres_binary

DUMP, ROLES, KEYS, MANIFEST = "database.dump", "roles.sql", "identity", "manifest.json"
FORMAT = 1
COLUMNS = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TimeElapsedColumn())
MARK_ALL_PENDING_SQL = "update public.memories set state = 'pending'"


async def back_up(settings: Settings, target: Path) -> None:
    """Writes to a temporary file first, so that an interrupted backup never looks complete."""
    if not await asyncio.to_thread(target.parent.is_dir):
        raise ConfigurationError(
            f"The folder {target.parent.resolve()} does not exist. Create it, or choose another file."
        )
    async with AsyncExitStack() as stack:
        _, admin = await find_postgres(settings, stack, alone=False)
        await asyncio.to_thread(_write_backup, settings, admin, target)


async def restore(settings: Settings, source: Path) -> None:
    if settings.database_url is not None:
        raise ConfigurationError(
            "`restore` restores the embedded database only. Unset DATABASE_URL, or use pg_restore."
        )
    if (settings.data_dir / "postgres").exists():
        raise ConfigurationError(
            f"DATA_DIR ({settings.data_dir.resolve()}) already contains a database. Set DATA_DIR to an empty folder."
        )
    if not await asyncio.to_thread(source.is_file):
        raise ConfigurationError(f"The file {source} does not exist. Choose one that `backup` has written.")
    await asyncio.to_thread(_unpack_keys, settings, source)
    async with AsyncExitStack() as stack:
        _, admin = await find_postgres(settings, stack, alone=True)
        await asyncio.to_thread(_restore_database, admin, source)


def _write_backup(settings: Settings, url: str, target: Path) -> None:
    draft = target.with_name(f".{target.name}.part")
    with tempfile.TemporaryDirectory() as scratch:
        with (Path(scratch) / DUMP).open("wb") as file:
            _run_with_progress("pg_dump", url, "--format=custom", "--compress=6", output_file=file)
        with (Path(scratch) / ROLES).open("wb") as file:
            _run_with_progress("pg_dumpall", url, "--roles-only", "--no-role-passwords", output_file=file)
        (Path(scratch) / MANIFEST).write_text(json.dumps({"format": FORMAT}))
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
            for name in (MANIFEST, ROLES, DUMP):
                archive.add(Path(scratch) / name, name)
            if (settings.data_dir / KEYS).exists():
                archive.add(settings.data_dir / KEYS, KEYS)
    draft.replace(target)


def _unpack_keys(settings: Settings, source: Path) -> None:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _open_backup(source) as archive:
        members = [member for member in archive.getmembers() if member.name.split("/")[0] == KEYS]
        _unpack(archive, members, settings.data_dir)


def _restore_database(url: str, source: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, _open_backup(source) as archive:
        _unpack(archive, [archive.getmember(ROLES), archive.getmember(DUMP)], Path(scratch))
        _create_roles(url, (Path(scratch) / ROLES).read_text())
        with (Path(scratch) / DUMP).open("rb") as file:
            _run_with_progress("pg_restore", url, "--exit-on-error", "--single-transaction", input_file=file)
    with psycopg.connect(_libpq_url(url), autocommit=True) as connection:
        connection.execute(MARK_ALL_PENDING_SQL)


def _unpack(archive: tarfile.TarFile, members: Sequence[tarfile.TarInfo], folder: Path) -> None:
    """Extract regular files, private and inside the folder only. tarfile's own filters need Python 3.11.4."""
    for member in members:
        content, path = archive.extractfile(member), folder / member.name
        if content is None or not path.resolve().is_relative_to(folder.resolve()):
            continue
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        with content, path.open("wb") as file:
            shutil.copyfileobj(content, file)


def _create_roles(url: str, script: str) -> None:
    """Run the statements one by one, because roles such as the owner of the server already exist."""
    statements = [line for line in script.splitlines() if line.startswith(("CREATE ROLE", "ALTER ROLE", "GRANT "))]
    with psycopg.connect(_libpq_url(url), autocommit=True) as connection:
        for statement in statements:
            try:
                connection.execute(statement)
            except psycopg.errors.DuplicateObject:
                continue


def _open_backup(source: Path) -> tarfile.TarFile:
    try:
        archive = tarfile.open(source)  # noqa: SIM115  # closed by the caller
    except tarfile.TarError:
        raise _not_a_backup(source) from None
    try:
        manifest = archive.extractfile(MANIFEST)
        known = manifest is not None and json.load(manifest).get("format") == FORMAT
    except (tarfile.TarError, KeyError, ValueError):
        known = False
    if not known:
        archive.close()
        raise _not_a_backup(source)
    return archive


def _not_a_backup(source: Path) -> ConfigurationError:
    return ConfigurationError(f"{source} is not a backup, or was written by a newer version. Choose another file.")


def _run_with_progress(
    command: str, url: str, *options: str, output_file: IO[bytes] | None = None, input_file: IO[bytes] | None = None
) -> None:
    """Shows the size of the file that is read or written as progress."""
    arguments = [str(postgres_binary(command)), "--dbname", _libpq_url(url), *options]
    with tempfile.TemporaryFile() as errors, Progress(*COLUMNS, transient=True) as bar:
        task = bar.add_task(command, total=None)
        process = subprocess.Popen(arguments, stdin=input_file, stdout=output_file, stderr=errors)
        while process.poll() is None:
            bar.update(task, completed=os.fstat((output_file or input_file or errors).fileno()).st_size)
            time.sleep(0.1)
        errors.seek(0)
        messages = errors.read().decode(errors="replace").strip().splitlines()
    if process.returncode:
        raise ConfigurationError(f"{command} failed: {messages[-1] if messages else 'no message'}")


def _libpq_url(url: str) -> str:
    """The form of the URL that Postgres' own programs accept."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
