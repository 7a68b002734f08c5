"""No other user of the machine can read what the server stores, at any moment and whatever the umask is."""

import asyncio
import contextlib
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.backup import back_up, restore
from app.private_files import keep_files_private
from app.settings import Settings
from tests.e2e.server import ROOT, environment, serving

PAUSE_SECONDS, LONG_PAUSE_SECONDS = 0.01, 0.1
"""Looking at one file takes no time. Looking at all files of a server takes a quarter of the long pause."""


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    previous = os.umask(0o022)
    yield
    os.umask(previous)


def open_to_others(folder: Path) -> set[str]:
    """What other users could read or list. As root, Postgres has a user of its own, which passes through DATA_DIR."""
    found = set()
    for path in (folder, *walk(folder)):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        passing = 0o001 if path == folder and os.geteuid() == 0 else 0
        if not stat.S_ISLNK(mode) and mode & 0o077 & ~passing:
            found.add(f"{path.relative_to(folder.parent)} {stat.S_IMODE(mode):o}")
    return found


def walk(folder: Path) -> Iterator[Path]:
    for above, folders, files in os.walk(folder):
        yield from (Path(above) / name for name in (*folders, *files))


@contextmanager
def watching(look: Callable[[], set[str]], pause: float = LONG_PAUSE_SECONDS) -> Iterator[set[str]]:
    """Look again and again until the end, and collect what was found. The pauses leave the processor to the server."""
    found: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(pause):
            found.update(look())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


def run_command(data_dir: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "app", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment(data_dir), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_files_of_the_server_and_its_backup_are_never_open_to_others(tmp_path: Path) -> None:
    data_dir, target = tmp_path / "data", tmp_path / "backups"
    target.mkdir(mode=0o700)
    with watching(lambda: open_to_others(data_dir)) as found, serving(data_dir) as keepsake:
        async with httpx.AsyncClient(base_url=keepsake.address, timeout=30) as client:
            account = {"email": "ann@example.com", "password": "correct horse battery"}
            token = (await client.post("/v1/auth/signup", json=account)).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            messages = [{"role": "user", "content": f"I own {number} marbles"} for number in range(50)]
            body = {"messages": messages, "user_id": "ann", "infer": False}
            assert (await client.post("/v3/memories/add/", json=body)).status_code == 200
            query = {"query": "marbles", "filters": {"user_id": "ann"}}
            assert (await client.post("/v3/memories/search/", json=query)).json()["results"]
        with watching(lambda: open_to_others(target)) as of_backup:
            await asyncio.to_thread(run_command, data_dir, "backup", str(target / "backup.tar"))
            await asyncio.to_thread(run_command, data_dir, "export", str(target / "memories.jsonl"))
    assert found | open_to_others(data_dir) == set()
    assert of_backup | open_to_others(target) == set()
    assert any((data_dir / "index").rglob("*.mmap")), "the native library has written files"

    restored = tmp_path / "restored"
    with watching(lambda: open_to_others(restored)) as found:
        keep_files_private(restored)  # as each command does before it begins
        await restore(Settings(_env_file=None, data_dir=restored), target / "backup.tar")
    assert found | open_to_others(restored) == set()


@pytest.mark.parametrize("interrupted", [False, True], ids=["fresh", "after an interrupted one"])
async def test_backup_is_never_open_to_others_while_it_is_written(
    tmp_path: Path, postgres: EmbeddedPostgres, interrupted: bool
) -> None:
    """Without the umask of the commands."""
    data_dir, target, draft = tmp_path / "data", tmp_path / "backups", tmp_path / "backups" / ".backup.tar.part"
    target.mkdir()
    (data_dir / "identity").mkdir(mode=0o700, parents=True)
    with (data_dir / "identity" / "large").open("wb") as large:
        large.truncate(100 << 20)  # so that the archive is written for long enough to be seen
    if interrupted:
        draft.write_text("half")

    def look() -> set[str]:
        with contextlib.suppress(FileNotFoundError):
            status = draft.stat()
            return {f"{status.st_mode & 0o777:o}"} if status.st_mode & 0o077 and status.st_size > len("half") else set()
        return set()

    empty = postgres.url("postgres").replace("/keepsake?", "/template1?")
    settings = Settings(_env_file=None, data_dir=data_dir, database_url=empty, admin_database_url=empty)
    with watching(look, PAUSE_SECONDS) as found:
        await back_up(settings, target / "backup.tar")
    assert found == set()
    assert os.listdir(target) == ["backup.tar"]
    assert (target / "backup.tar").stat().st_mode & 0o777 == 0o600


def test_files_of_an_earlier_version_are_narrowed(tmp_path: Path) -> None:
    shard = tmp_path / "index" / "1" / "shard"
    shard.mkdir(parents=True)
    (shard / "vectors.mmap").write_text("")
    (tmp_path / "serve.lock").write_text("")
    (tmp_path / "notes.txt").write_text("of the operator")
    (tmp_path / "index" / "link").symlink_to(tmp_path / "notes.txt")
    keep_files_private(tmp_path)
    assert {entry.split()[0] for entry in open_to_others(tmp_path)} <= {tmp_path.name, f"{tmp_path.name}/notes.txt"}
    assert shard.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "notes.txt").stat().st_mode & 0o777 == 0o644
