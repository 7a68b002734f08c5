"""Everything that is kept, in one file: a snapshot of the database, taken while serving, and the identity keys.

Vectors are not in it: they are derived, and a restored instance makes them anew from the ledger.
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
PENDING = "update public.memories set state = 'pending'"


async def back_up(settings: Settings, target: Path) -> None:
    """Written beside the target first: a backup that was interrupted never looks like a whole one."""
    if not await asyncio.to_thread(target.parent.is_dir):
        raise ConfigurationError(f"There is no folder {target.parent.resolve()}: make it, or name another file")
    async with AsyncExitStack() as stack:
        _, admin = await find_postgres(settings, stack, alone=False)
        await asyncio.to_thread(_write_archive, settings, admin, target)


async def restore(settings: Settings, source: Path) -> None:
    if settings.database_url is not None:
        raise ConfigurationError("restore fills an embedded database: unset DATABASE_URL, or use pg_restore on yours")
    if (settings.data_dir / "postgres").exists():
        raise ConfigurationError(
            f"DATA_DIR ({settings.data_dir.resolve()}) already holds a database: set DATA_DIR to an empty folder"
        )
    if not await asyncio.to_thread(source.is_file):
        raise ConfigurationError(f"There is no file {source}: name one that `backup` has written")
    await asyncio.to_thread(_unpack_keys, settings, source)
    async with AsyncExitStack() as stack:
        _, admin = await find_postgres(settings, stack, alone=True)
        await asyncio.to_thread(_load, admin, source)


def _write_archive(settings: Settings, url: str, target: Path) -> None:
    draft = target.with_name(f".{target.name}.part")
    with tempfile.TemporaryDirectory() as scratch:
        with (Path(scratch) / DUMP).open("wb") as file:
            _run("pg_dump", url, "--format=custom", "--compress=6", into=file)
        with (Path(scratch) / ROLES).open("wb") as file:
            _run("pg_dumpall", url, "--roles-only", "--no-role-passwords", into=file)
        (Path(scratch) / MANIFEST).write_text(json.dumps({"format": FORMAT}))
        with tarfile.open(draft, "w") as archive:
            for name in (MANIFEST, ROLES, DUMP):
                archive.add(Path(scratch) / name, name)
            if (settings.data_dir / KEYS).exists():
                archive.add(settings.data_dir / KEYS, KEYS)
    draft.chmod(0o600)
    draft.replace(target)


def _unpack_keys(settings: Settings, source: Path) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with _open(source) as archive:
        members = [member for member in archive.getmembers() if member.name.split("/")[0] == KEYS]
        _unpack(archive, members, settings.data_dir)


def _load(url: str, source: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, _open(source) as archive:
        _unpack(archive, [archive.getmember(ROLES), archive.getmember(DUMP)], Path(scratch))
        _make_roles(url, (Path(scratch) / ROLES).read_text())
        with (Path(scratch) / DUMP).open("rb") as file:
            _run("pg_restore", url, "--exit-on-error", "--single-transaction", given=file)
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute(PENDING)


def _unpack(archive: tarfile.TarFile, members: Sequence[tarfile.TarInfo], folder: Path) -> None:
    """Plain files, readable by nobody else, and nothing outside the folder; tarfile's own filters came with 3.11.4."""
    for member in members:
        content, path = archive.extractfile(member), folder / member.name
        if content is None or not path.resolve().is_relative_to(folder.resolve()):
            continue
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        with content, path.open("wb") as file:
            shutil.copyfileobj(content, file)


def _make_roles(url: str, script: str) -> None:
    """One statement at a time: a role that is there already, such as the owner of the server, is no mistake."""
    statements = [line for line in script.splitlines() if line.startswith(("CREATE ROLE", "ALTER ROLE", "GRANT "))]
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        for statement in statements:
            try:
                connection.execute(statement)
            except psycopg.errors.DuplicateObject:
                continue


def _open(source: Path) -> tarfile.TarFile:
    try:
        archive = tarfile.open(source)  # noqa: SIM115  # closed by whoever asked
    except tarfile.TarError:
        raise _no_backup(source) from None
    try:
        manifest = archive.extractfile(MANIFEST)
        known = manifest is not None and json.load(manifest).get("format") == FORMAT
    except (tarfile.TarError, KeyError, ValueError):
        known = False
    if not known:
        archive.close()
        raise _no_backup(source)
    return archive


def _no_backup(source: Path) -> ConfigurationError:
    return ConfigurationError(f"{source} is not a backup of ours, or of a newer version: name another file")


def _run(command: str, url: str, *options: str, into: IO[bytes] | None = None, given: IO[bytes] | None = None) -> None:
    """The file that is read or written tells how far it is."""
    arguments = [str(postgres_binary(command)), "--dbname", _plain(url), *options]
    with tempfile.TemporaryFile() as complaints, Progress(*COLUMNS, transient=True) as bar:
        task = bar.add_task(command, total=None)
        process = subprocess.Popen(arguments, stdin=given, stdout=into, stderr=complaints)
        while process.poll() is None:
            bar.update(task, completed=os.fstat((into or given or complaints).fileno()).st_size)
            time.sleep(0.1)
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip().splitlines()
    if process.returncode:
        raise ConfigurationError(f"{command} failed: {said[-1] if said else 'it gave no reason'}")


def _plain(url: str) -> str:
    """As Postgres' own programs read it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
