import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import psycopg
import pytest
import pytest_asyncio

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.errors import ConfigurationError
from tests.adapters.postgres_child import using
from tests.patience import PATIENCE_SECONDS
from tests.sql import run_sql


def answers(postgres_server: EmbeddedPostgres) -> bool:
    try:
        return run_sql(postgres_server.url("postgres"), "select 1") == [(1,)]
    except psycopg.OperationalError:
        return False


def postmaster(data_dir: Path) -> psutil.Process | None:
    """The server of this folder, found among all processes, because the lock file may be wrong."""
    wanted = ["-D", str(data_dir.resolve() / "postgres")]
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and process.cmdline()[1:3] == wanted:
                return process
        except psutil.NoSuchProcess:
            continue
    return None


def running(data_dir: Path) -> psutil.Process:
    found = postmaster(data_dir)
    assert found
    return found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():  # noqa: ASYNC110 - the other side is another process
            await asyncio.sleep(0.05)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest_asyncio.fixture
async def postgres_server(data_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    postgres_server = EmbeddedPostgres(data_dir)
    yield postgres_server
    await postgres_server.stop()


async def test_first_start_creates_the_database_and_a_second_reuses_it(
    data_dir: Path, postgres_server: EmbeddedPostgres
) -> None:
    await postgres_server.start()
    run_sql(postgres_server.url("postgres"), "create table kept (word text); insert into kept values ('here')")
    assert run_sql(postgres_server.url("postgres"), "show listen_addresses") == [("",)], (
        "nobody reaches it over a network"
    )
    await postgres_server.stop()
    assert postmaster(data_dir) is None
    assert not [name for name in os.listdir(data_dir) if name.startswith(".initdb")], "nothing is left of making it"

    await postgres_server.start()
    assert run_sql(postgres_server.url("postgres"), "select word from kept") == [("here",)]


async def test_server_of_a_killed_process_is_adopted_and_stopped(
    data_dir: Path, postgres_server: EmbeddedPostgres
) -> None:
    with using(data_dir) as child:
        child.kill()
        child.wait()
    left_behind = running(data_dir)

    await postgres_server.start()
    assert running(data_dir) == left_behind
    assert run_sql(postgres_server.url("postgres"), "select 1") == [(1,)]
    await postgres_server.stop()
    assert postmaster(data_dir) is None


async def test_last_process_stops_the_server(data_dir: Path, postgres_server: EmbeddedPostgres) -> None:
    await postgres_server.start()
    with using(data_dir) as child:
        await postgres_server.stop()
        assert postmaster(data_dir), "another process still uses it"
        assert child.poll() is None
    assert postmaster(data_dir) is None


async def test_concurrent_starts_share_one_server(data_dir: Path, postgres_server: EmbeddedPostgres) -> None:
    other = EmbeddedPostgres(data_dir)
    await asyncio.gather(postgres_server.start(), other.start())
    assert run_sql(postgres_server.url("postgres"), "select pg_postmaster_start_time()") == run_sql(
        other.url("postgres"), "select pg_postmaster_start_time()"
    )
    await other.stop()
    assert run_sql(postgres_server.url("postgres"), "select 1") == [(1,)]


async def test_lock_file_with_the_pid_of_another_program_is_stale(
    data_dir: Path, postgres_server: EmbeddedPostgres
) -> None:
    await postgres_server.start()
    run_sql(postgres_server.url("postgres"), "create table kept ()")
    await postgres_server.stop()
    owner = (data_dir / "postgres").stat()
    groups: list[str | int] | None = [] if os.geteuid() == 0 else None
    stranger = await asyncio.create_subprocess_exec("sleep", "100", user=owner.st_uid, extra_groups=groups)
    lock = data_dir / "postgres" / "postmaster.pid"
    lock.write_text(f"{stranger.pid}\n{data_dir / 'postgres'}\n1\n5432\n{data_dir / 'socket'}\n\n\n")
    os.chown(lock, owner.st_uid, owner.st_gid)
    lock.chmod(0o600)

    await postgres_server.start()
    assert run_sql(postgres_server.url("postgres"), "select to_regclass('kept') is not null") == [(True,)]
    assert stranger.returncode is None, "a stranger is left alone"
    stranger.kill()
    await stranger.wait()


async def test_children_of_a_crashed_server_are_killed(data_dir: Path, postgres_server: EmbeddedPostgres) -> None:
    """A child in a long calculation does not notice the crash, and a new Postgres does not notice the child."""
    await postgres_server.start()
    url = postgres_server.url("postgres").replace("+psycopg", "")
    busy = await psycopg.AsyncConnection.connect(url, autocommit=True)
    working = asyncio.create_task(busy.execute("do $$ begin loop perform 1; end loop; end $$"))
    await until(
        lambda: (
            run_sql(
                postgres_server.url("postgres"),
                "select 1 from pg_stat_activity where query like 'do %' and state = 'active'",
            )
            != []
        )
    )
    orphan = psutil.Process(busy.info.backend_pid)
    running(data_dir).kill()
    assert orphan.is_running()

    other = EmbeddedPostgres(data_dir)
    await other.start()
    assert not orphan.is_running()
    with pytest.raises(psycopg.OperationalError):
        await working
    assert run_sql(other.url("postgres"), "select 1") == [(1,)]
    await other.stop()


async def test_crashed_server_is_restarted(data_dir: Path, postgres_server: EmbeddedPostgres) -> None:
    await postgres_server.start()
    run_sql(postgres_server.url("postgres"), "create table kept (word text); insert into kept values ('here')")
    first = running(data_dir)
    first.kill()
    await until(lambda: postmaster(data_dir) not in (first, None))
    await until(lambda: answers(postgres_server))
    assert run_sql(postgres_server.url("postgres"), "select word from kept") == [("here",)]


async def test_cancelled_start_leaves_no_server(data_dir: Path, postgres_server: EmbeddedPostgres) -> None:
    starting = asyncio.create_task(postgres_server.start())
    await until(lambda: (data_dir / "postgres.lock").exists())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert postmaster(data_dir) is None


async def test_data_dir_may_be_longer_than_a_socket_path(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long " + "x" * 90) / "y"
    assert len(str(data_dir / "socket" / ".s.PGSQL.5432")) > 107
    postgres_server = EmbeddedPostgres(data_dir)
    await postgres_server.start()
    assert run_sql(postgres_server.url("postgres"), "select 1") == [(1,)]
    await postgres_server.stop()
    assert postmaster(data_dir) is None


async def test_folder_of_another_user_is_refused(data_dir: Path, postgres_server: EmbeddedPostgres) -> None:
    await postgres_server.start()
    await postgres_server.stop()
    make_strange(data_dir / "postgres")
    with pytest.raises(ConfigurationError, match=r"^[^\n]*postgres belongs to another user\. .*DATA_DIR"):
        await postgres_server.start()


def make_strange(folder: Path) -> None:
    """A folder of another user: root changes its owner, other users replace it with a link."""
    if os.geteuid() == 0:
        os.chown(folder, 12345, 12345)
    else:
        shutil.move(folder, folder.with_name("elsewhere"))
        folder.symlink_to("elsewhere")


async def test_folder_with_other_files_is_not_changed(data_dir: Path, postgres_server: EmbeddedPostgres) -> None:
    precious = data_dir / "postgres" / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    with pytest.raises(ConfigurationError, match=r"contains other files\. Set DATA_DIR"):
        await postgres_server.start()
    assert precious.read_text() == "mine"


async def test_ordinary_user_can_run_the_server(postgres: EmbeddedPostgres) -> None:
    """As root, a user without rights runs it; otherwise the user who runs the tests."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        user = "nobody" if os.geteuid() == 0 else None
        if user:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        data_dir = Path(folder) / "data"
        with using(data_dir, user=user):
            postgres_server = running(data_dir)
            assert postgres_server.username() == (user or pwd.getpwuid(os.geteuid()).pw_name)
            assert (data_dir / "postgres").stat().st_mode & 0o077 == 0
        assert postmaster(data_dir) is None
