"""Copy accounts, with their password hashes, and every row from the embedded Postgres into a Supabase project.

All or nothing: one snapshot is read, one transaction is written, and the counts of both sides are compared at the end.
"""

import asyncio
import fcntl
import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Annotated

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict
from rich.progress import Progress

from app.adapters.embedded_postgres import BINARIES, EmbeddedPostgres
from app.core.errors import ConfigurationError
from app.identity.local.security.keys import load_or_create_secret
from app.identity.local.security.sealing import FactorSecrets

ACCOUNTS = ("auth.users", "auth.identities", "auth.sessions")
FACTORS = "auth.mfa_factors"
SELECT_FACTORS = f"""
select id, user_id, friendly_name, factor_type, status, created_at, updated_at, secret from {FACTORS}
"""  # noqa: S608  # our own names
INSERT_FACTOR = f"""
insert into {FACTORS} (id, user_id, friendly_name, factor_type, status, created_at, updated_at, secret)
values (%s, %s, %s, %s, %s, %s, %s, %s);
"""  # noqa: S608  # our own names
ENVIRONMENT = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
ENVIRONMENT |= {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "hostaddr": "PGHOSTADDR"}
UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
NOT_AUDITED = b"set keepsake.copies_rows = on;\n"
VERSIONS = "select version from supabase_migrations.schema_migrations order by version"
LEFT_BEHIND = ("public.memory_vectors", "public.memory_vector_generations", "public.memory_words")
LEFT_BEHIND += ("public.vector_collections", "public.maintenance")
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
Secret = Annotated[
    str | None, typer.Option(envvar="SECRET_KEY", help="Needed if the server had it. Otherwise it is in DATA_DIR")
]
LeaveJobs = Annotated[bool, typer.Option(help="Go on although jobs are waiting: what they would have done is lost")]


def main(
    target: Target, data_dir: DataDir = Path("data"), leave_jobs: LeaveJobs = False, secret_key: Secret = None
) -> None:
    try:
        with running(data_dir) as source:
            check(source, target, leave_jobs=leave_jobs)
            before = count(target)
            copy(source, target, second_factors(source, secret_key or load_or_create_secret(data_dir / "identity")))
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


def second_factors(source: str, secret_key: str) -> bytes:
    """Statements that insert the factors with plain secrets, as Supabase stores them. Here, they are encrypted."""
    secrets = FactorSecrets(secret_key)
    statements = []
    with psycopg.connect(source) as connection, psycopg.ClientCursor(connection) as cursor:
        for *values, stored in cursor.execute(SELECT_FACTORS).fetchall():
            secret = secrets.open(values[0], stored)
            if secret is None:
                raise ConfigurationError("the second factors are encrypted with another key: set SECRET_KEY to it")
            statements.append(cursor.mogrify(INSERT_FACTOR, [*values, secret]))
    return "".join(statements).encode()


def count(url: str) -> dict[str, object]:
    tables = [*ACCOUNTS, FACTORS, *(str(table) for table in ask(url, TABLES) if table not in LEFT_BEHIND)]
    return {table: ask(url, f"select count(*) from {table}")[0] for table in tables}  # noqa: S608 - names, not values


def copy(source: str, target: str, afterwards: bytes) -> None:
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
        broken = pour(itertools.chain([NOT_AUDITED], reader.stdout, [afterwards]), writer.stdin, progress)
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


def pour(dump: Iterable[bytes], load: IO[bytes], progress: Progress) -> bool:
    """True if the other side stopped listening."""
    task = progress.add_task("Copying", total=None)
    try:
        for line in dump:
            if line != UNKNOWN_BEFORE_17:
                load.write(line)
            progress.advance(task, len(line))
        load.flush()
    except BrokenPipeError:
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
