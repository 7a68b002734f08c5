"""Copy accounts, with their password hashes, and every row from the embedded Postgres into a Supabase project.

All or nothing: one snapshot is read, one transaction is written, and the counts of both sides are compared at the end.
"""

import asyncio
import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Annotated

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict
from rich.progress import Progress

from app.adapters.embedded_postgres import BINARIES, EmbeddedPostgres
from app.core.errors import ConfigurationError

ACCOUNTS = ("auth.users", "auth.identities", "auth.sessions")
ENVIRONMENT = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
ENVIRONMENT |= {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "hostaddr": "PGHOSTADDR"}
UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
VERSIONS = "select version from supabase_migrations.schema_migrations order by version"
LEFT_BEHIND = ("public.memory_vectors", "public.memory_vector_generations", "public.maintenance")
"""What can be made again from the rows (`python -m app reindex`), and how far work on this machine had come."""
TABLES = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'public' order by 1"
DONE_AGAIN_ANYWAY = "'memory.categorize', 'memory.sweep', 'memory.remove_orphans', 'memory.reindex', 'webhooks.tidy'"
"""Jobs that only look for what is left to do, which the server on the other side does too."""
WAITING = f"""
select count(*) from jobs.procrastinate_jobs
where status in ('todo', 'doing') and task_name not in ({DONE_AGAIN_ANYWAY}, 'memory.categorize_left')
"""  # noqa: S608  # our own names
DataDir = Annotated[Path, typer.Option(help="Folder of the embedded Postgres")]
Target = Annotated[str, typer.Option(envvar="TARGET_DATABASE_URL", help="Supabase's Postgres, as its `postgres` user")]
LeaveJobs = Annotated[bool, typer.Option(help="Go on although jobs are waiting: what they would have done is lost")]


def main(target: Target, data_dir: DataDir = Path("data"), leave_jobs: LeaveJobs = False) -> None:
    try:
        with running(data_dir) as source:
            check(source, target, leave_jobs=leave_jobs)
            before = count(target)
            copy(source, target)
            report(count(source), before, count(target))
    except (ConfigurationError, psycopg.Error, OSError) as error:
        typer.secho(f"Stopped: {error}", fg="red", err=True)
        raise typer.Exit(2) from None


@contextmanager
def running(data_dir: Path) -> Iterator[str]:
    """The embedded Postgres, with nobody else writing to it."""
    if not (data_dir / "postgres" / "PG_VERSION").exists():
        raise ConfigurationError(f"there is no embedded Postgres in {data_dir}: name its folder with --data-dir")
    with ExitStack() as stack:
        claim(stack.enter_context((data_dir / "serve.lock").open("ab")), data_dir)
        server = EmbeddedPostgres(data_dir)
        asyncio.run(server.start())
        stack.callback(lambda: asyncio.run(server.stop()))
        yield server.url("postgres").replace("+psycopg", "", 1)


def claim(lock: IO[bytes], data_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(f"a server still runs on {data_dir}: stop it first") from None


def check(source: str, target: str, *, leave_jobs: bool) -> None:
    if ask(target, "select to_regclass('auth.schema_migrations')::text") == [None]:
        raise ConfigurationError("TARGET_DATABASE_URL is not a Supabase project: it has no accounts of GoTrue's")
    if ask(target, "select to_regclass('supabase_migrations.schema_migrations')::text") == [None]:
        raise ConfigurationError("the Supabase project has no schema yet: run `python -m app migrate` on it first")
    if ask(source, VERSIONS) != ask(target, VERSIONS):
        raise ConfigurationError("the two databases have different migrations: run `python -m app migrate` on both")
    if ask(target, "select count(*) from public.organizations") != [0]:
        raise ConfigurationError("the Supabase project already holds organizations: move into an empty one")
    if not leave_jobs and (waiting := ask(source, WAITING)) != [0]:
        raise ConfigurationError(
            f"{waiting[0]} jobs are waiting: start the server until they are done, or --leave-jobs"
        )


def ask(url: str, sql: str) -> list[object]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(sql.encode()).fetchall()]


def count(url: str) -> dict[str, object]:
    tables = [*ACCOUNTS, *(str(table) for table in ask(url, TABLES) if table not in LEFT_BEHIND)]
    return {table: ask(url, f"select count(*) from {table}")[0] for table in tables}  # noqa: S608 - names, not values


def copy(source: str, target: str) -> None:
    chosen = [f"--table={name}" for name in (*ACCOUNTS, "public.*")]
    chosen += [f"--exclude-table={name}" for name in LEFT_BEHIND]
    dump = [str(BINARIES / "pg_dump"), "--data-only", "--no-owner", *chosen]
    load = [
        str(BINARIES / "psql"),
        "-X",
        "-q",
        "--single-transaction",
        "-v",
        "ON_ERROR_STOP=1",
        "-v",
        "VERBOSITY=terse",
    ]
    with tempfile.TemporaryFile() as complaints, Progress() as progress:
        reader = subprocess.Popen(dump, env=environment(source), stdout=subprocess.PIPE, stderr=complaints)
        writer = subprocess.Popen(
            load, env=environment(target), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints
        )
        assert reader.stdout is not None
        assert writer.stdin is not None
        broken = pour(reader.stdout, writer.stdin, progress)
        if reader.wait() != 0 or broken:
            # Closing its input would commit what has come so far; without a client Postgres rolls it back.
            writer.kill()
        else:
            writer.stdin.close()
        if writer.wait() != 0:
            complaints.seek(0)
            raise ConfigurationError(complaints.read().decode(errors="replace").strip() or "the copy was cut off")


def environment(url: str) -> Mapping[str, str]:
    """Not on the command line, where everybody on the machine could read the password."""
    parts = conninfo_to_dict(url)
    named = {ENVIRONMENT[name]: str(value) for name, value in parts.items() if name in ENVIRONMENT}
    return {"PATH": os.environ.get("PATH", ""), "PGCLIENTENCODING": "UTF8", **named}


def pour(dump: IO[bytes], load: IO[bytes], progress: Progress) -> bool:
    """True if the other side stopped listening."""
    task = progress.add_task("Copying", total=None)
    try:
        for line in dump:
            if line != UNKNOWN_BEFORE_17:
                load.write(line)
            progress.advance(task, len(line))
        load.flush()
    except BrokenPipeError:
        dump.close()
        return True
    return False


def report(source: Mapping[str, object], before: Mapping[str, object], after: Mapping[str, object]) -> None:
    for table, moved in source.items():
        typer.echo(f"{table}: {moved}")
    wrong = [table for table in source if after[table] != int(str(before[table])) + int(str(source[table]))]
    if wrong:
        raise ConfigurationError(f"the counts differ for {', '.join(wrong)}: was somebody writing at the same time?")
    typer.echo("Everything arrived")


if __name__ == "__main__":
    typer.run(main)
