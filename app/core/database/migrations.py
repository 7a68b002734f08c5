"""Applies supabase/migrations with the bookkeeping of Supabase's CLI, then the schema of the job queue."""

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import psycopg

from app.core.errors import ConfigurationError

APP = Path(__file__).parent.parent.parent
# A wheel contains the migrations. In a checkout they are beside `app`, where Supabase's command line expects them.
PACKAGED = APP / "_supabase" / "migrations"
MIGRATIONS = PACKAGED if PACKAGED.is_dir() else APP.parent / "supabase" / "migrations"
NAME = re.compile(r"^([0-9]+)_(.*)\.sql$")
LOCK = 7_230_114_355_120_771
BOOKKEEPING = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
  version text primary key, statements text[], name text)
"""
JOBS_GRANTS = """
alter function jobs.procrastinate_defer_jobs_v1(jobs.procrastinate_job_to_defer_v1[])
  security definer set search_path = jobs, pg_temp;
revoke all on schema jobs from public;
revoke all on all routines in schema jobs from public;
grant execute on all routines in schema jobs to keepsake_system;
grant execute on function jobs.procrastinate_defer_jobs_v1(jobs.procrastinate_job_to_defer_v1[]) to authenticated;
grant usage on schema jobs to authenticated, keepsake_system;
grant all on all tables in schema jobs to keepsake_system;
grant all on all sequences in schema jobs to keepsake_system
"""

# For `FETCH_JOB_SQL`, which looks for other jobs with the same lock.
CREATE_LOCK_INDEX_SQL = """
create index if not exists keepsake_jobs_by_lock on jobs.procrastinate_jobs (lock)
where lock is not null and status in ('todo', 'doing')
"""


def migrate(url: str, shims: Sequence[Path] = (), grants: Sequence[Path] = ()) -> list[str]:
    """Migrate a database and return the new versions. Safe to run from several processes at once."""
    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    with _connect(plain) as connection:
        connection.execute("select pg_advisory_lock(%s)", [LOCK])
        try:
            if not _is_supabase(connection):
                _run_files(connection, shims)
            applied = _apply_pending(connection)
            _install_jobs(connection)
            if not _is_supabase(connection):
                _run_files(connection, grants)
        finally:
            connection.execute("select pg_advisory_unlock(%s)", [LOCK])
    return applied


def _connect(url: str) -> psycopg.Connection:
    try:
        return psycopg.connect(url, autocommit=True)
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1:] or ["no reason given"]
        raise ConfigurationError(
            f"Cannot connect to the database of DATABASE_URL or ADMIN_DATABASE_URL ({reason[0].strip()})."
            " Check that it runs, and check the address, the user and the password."
        ) from None


def local_versions() -> dict[str, Path]:
    found = {match[1]: path for path in sorted(MIGRATIONS.glob("*.sql")) if (match := NAME.match(path.name))}
    if not found:
        raise ConfigurationError(f"{MIGRATIONS} contains no migrations: install Keepsake again")
    return found


def _is_supabase(connection: psycopg.Connection) -> bool:
    """Whether GoTrue manages the `auth` schema. If so, it must not be changed."""
    row = connection.execute("select to_regclass('auth.schema_migrations')").fetchone()
    return row is not None and row[0] is not None


def _apply_pending(connection: psycopg.Connection) -> list[str]:
    connection.execute(BOOKKEEPING)
    rows = connection.execute("select version from supabase_migrations.schema_migrations").fetchall()
    done, here = {row[0] for row in rows}, local_versions()
    _refuse_different_history(done, here)
    pending = sorted(set(here) - done)
    for version in pending:
        _apply(connection, version, here[version])
    return pending


def _refuse_different_history(done: set[str], here: dict[str, Path]) -> None:
    if unknown := sorted(done - set(here)):
        raise ConfigurationError(
            f"The database was migrated by a newer version ({', '.join(unknown)})."
            " Start that version, or set DATABASE_URL to another database."
        )
    if late := sorted(version for version in set(here) - done if done and version < max(done)):
        raise ConfigurationError(
            f"Migrations {', '.join(late)} are older than the newest one applied. Read them, then apply them with"
            " `supabase db push --include-all`."
        )


def _apply(connection: psycopg.Connection, version: str, path: Path) -> None:
    name = path.stem.removeprefix(f"{version}_")
    with connection.transaction():
        connection.execute("set local lock_timeout = '4s'")
        connection.execute(path.read_text())
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name) values (%s, %s)", [version, name]
        )


def _run_files(connection: psycopg.Connection, paths: Sequence[Path]) -> None:
    for path in paths:
        with connection.transaction():
            connection.execute(path.read_text())


def _install_jobs(connection: psycopg.Connection) -> None:
    """Create and upgrade procrastinate's tables in a schema of their own, with procrastinate's own files."""
    with connection.transaction():
        connection.execute("create schema if not exists jobs")
        connection.execute("set local search_path = jobs")
        connection.execute("create table if not exists jobs.applied (name text primary key)")
        rows = connection.execute("select name from jobs.applied").fetchall()
        scripts = sorted(
            (
                script
                for script in (files("procrastinate") / "sql" / "migrations").iterdir()
                if script.name[0].isdigit()
            ),
            key=lambda script: script.name,
        )
        new = [script for script in scripts if script.name not in {row[0] for row in rows}]
        if not rows:
            connection.execute((files("procrastinate") / "sql" / "schema.sql").read_text())
        for script in new:
            if rows:
                connection.execute(script.read_text())
            connection.execute("insert into jobs.applied (name) values (%s)", [script.name])
        connection.execute(JOBS_GRANTS)
        connection.execute(CREATE_LOCK_INDEX_SQL)
