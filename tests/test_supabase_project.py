"""A new Supabase project: the migrations apply, and a browser reaches its own rows and nothing else."""

import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.database.migrations import MIGRATIONS, migrate
from app.identity.local import GRANTS, SHIM
from tests.postgrest import read_rows
from tests.rows import Corner, fill_in, make_project
from tests.sql import run_sql
from tests.supabase_project import open_supabase_project
from tests.test_schema import DOOR_TESTS, TAP, column, plain, run_door_test

STRANGER = "cccccccc-0000-4000-8000-000000000001"
READABLE = {"profiles", "sessions", "messages", "memories", "projects"}
PRIVILEGES = """
select 'table ' || n.nspname || '.' || c.relname || ' ' || r.rolname || ' ' || p.name
from pg_class c join pg_namespace n on n.oid = c.relnamespace, pg_roles r,
     unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p (name)
where n.nspname in ('public', 'private', 'jobs') and c.relkind = 'r' and r.rolname in ('anon', 'authenticated')
  and has_table_privilege(r.oid, c.oid, p.name)
union all
select 'function ' || n.nspname || '.' || f.proname || ' ' || r.rolname
from pg_proc f join pg_namespace n on n.oid = f.pronamespace, pg_roles r
where n.nspname in ('public', 'private', 'jobs') and f.prorettype <> 'trigger'::regtype
  and r.rolname in ('anon', 'authenticated') and has_function_privilege(r.oid, f.oid, 'execute')
union all
select 'sequence ' || n.nspname || '.' || c.relname || ' ' || r.rolname
from pg_class c join pg_namespace n on n.oid = c.relnamespace, pg_roles r
where n.nspname in ('public', 'private', 'jobs') and c.relkind = 'S' and r.rolname in ('anon', 'authenticated')
  and has_sequence_privilege(r.oid, c.oid, 'usage, select, update')
union all
select 'schema ' || n.nspname || ' ' || r.rolname from pg_namespace n, pg_roles r
where n.nspname in ('private', 'jobs') and r.rolname in ('anon', 'authenticated')
  and has_schema_privilege(r.oid, n.oid, 'usage')
order by 1
"""


@pytest_asyncio.fixture(scope="module")
async def project(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with open_supabase_project(tmp_path_factory.mktemp("supabase")) as url:
        migrate(url, [SHIM], [GRANTS])
        yield url


@pytest.fixture
def connection(project: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that is rolled back."""
    with psycopg.connect(plain(project)) as connection:
        yield connection
        connection.rollback()


def test_role_that_migrates_is_no_superuser(project: str) -> None:
    assert run_sql(project, "select current_user, rolsuper from pg_roles where rolname = current_user") == [
        ("postgres", False)
    ]
    assert migrate(project, [SHIM], [GRANTS]) == []


def test_browsers_have_the_privileges_that_they_have_without_supabase(project: str, postgres: EmbeddedPostgres) -> None:
    granted = run_sql(project, PRIVILEGES)
    assert granted == run_sql(postgres.url("postgres"), PRIVILEGES)
    assert [name for (name,) in granted if " anon" in str(name) or "truncate" in str(name)] == []
    assert [name for (name,) in granted if str(name).startswith(("table jobs", "table private", "sequence"))] == []


def test_only_the_server_can_queue_jobs(project: str) -> None:
    """`authenticated` is also the role of the server. It queues jobs with one function and reads none."""
    granted = [str(name) for (name,) in run_sql(project, PRIVILEGES) if " jobs" in str(name)]
    assert granted == ["function jobs.procrastinate_defer_jobs_v1 authenticated", "schema jobs authenticated"]


def test_future_tables_functions_and_sequences_are_closed(connection: psycopg.Connection[Any]) -> None:
    connection.execute("create table public.later (id bigserial)")
    connection.execute("create function public.later() returns integer language sql as 'select 1'")
    for role in ("anon", "authenticated"):
        assert connection.execute("select has_table_privilege(%s, 'public.later', 'select')", [role]).fetchone() == (
            False,
        )
        allowed = connection.execute("select has_sequence_privilege(%s, 'public.later_id_seq', 'usage')", [role])
        assert allowed.fetchone() == (False,)


def test_project_that_was_migrated_with_open_tables_is_closed(
    connection: psycopg.Connection[Any], postgres: EmbeddedPostgres
) -> None:
    """Before, Supabase's default privileges applied to every table of ours."""
    path = MIGRATIONS / "20261129095000_grants.sql"
    for name in set(re.findall(r"public\.(\w+)", path.read_text())):
        connection.execute(sql.SQL("grant all on {} to anon, authenticated").format(sql.Identifier("public", name)))
    connection.execute(path.read_bytes())
    of_tables = [row for row in connection.execute(PRIVILEGES) if row[0].startswith(("table public", "sequence"))]
    embedded = run_sql(postgres.url("postgres"), PRIVILEGES)
    assert of_tables == [row for row in embedded if str(row[0]).startswith(("table public", "sequence"))]


@pytest.mark.parametrize("path", DOOR_TESTS, ids=lambda path: path.name)
def test_sql_tests_pass_under_supabases_default_privileges(path: Any, connection: psycopg.Connection[Any]) -> None:
    connection.execute(TAP.read_bytes())
    connection.execute("set search_path = public, tap, extensions")
    connection.execute("savepoint start")
    text = path.read_text().replace("begin;", "", 1).replace("rollback;", "")
    lines = run_door_test(connection, text)
    assert [line for line in lines[1:] if not line.startswith("ok ")] == []
    assert len(lines) == int(lines[0].removeprefix("1..")) + 1


# ---------------------------------------------------------------- every table as a browser meets it


@dataclass(frozen=True)
class People:
    """Two users of one project and a user of another one, each with a row in every table."""

    own: Corner
    other_user: Corner
    other_project: Corner


@pytest_asyncio.fixture(scope="module")
async def people(project: str) -> People:
    engine = create_async_engine(project)
    async with AsyncSession(engine) as tx, tx.begin():
        shared, _ = await make_project(tx)
        foreign, _ = await make_project(tx)
        corners = []
        for project_id in (shared, shared, foreign):
            account = uuid.uuid4()
            corners.append(Corner(project_id, str(account), account_id=account))
            await fill_in(tx, corners[-1])
    await engine.dispose()
    return People(*corners)


def tables(connection: psycopg.Connection[Any]) -> list[str]:
    return column(connection, "select tablename from pg_tables where schemaname = 'public' order by 1")


def become(connection: psycopg.Connection[Any], role: str, subject: str | None) -> None:
    claims = json.dumps({"role": role, **({"sub": subject} if subject else {})})
    connection.execute(
        "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)", [role, claims]
    )


def attempt(connection: psycopg.Connection[Any], statement: sql.Composed) -> list[tuple[Any, ...]] | None:
    """The rows that the statement returns, or None where it is forbidden. Its effect is undone."""
    try:
        with connection.transaction(force_rollback=True):
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []
    except psycopg.errors.InsufficientPrivilege:
        return None


def insertion(table: str, own: Corner) -> sql.Composed:
    """A row that would be the person's own. The policy is checked before the references."""
    row = own.rows().get(table)
    if row is None:
        return sql.SQL("insert into {} default values").format(sql.Identifier("public", table))
    values = [json.dumps(value) if isinstance(value, dict) else value for value in row.values()]
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    literals = sql.SQL(", ").join(map(sql.Literal, values))
    return sql.SQL("insert into {} ({}) values ({})").format(sql.Identifier("public", table), names, literals)


def write_attempts(
    connection: psycopg.Connection[Any], table: str, own: Corner
) -> dict[str, list[tuple[Any, ...]] | None]:
    name = sql.Identifier("public", table)
    (first,) = column(
        connection,
        f"""select a.attname from pg_attribute a
        where a.attrelid = 'public.{table}'::regclass and a.attnum > 0 and not a.attisdropped
          and a.attgenerated = '' and a.attidentity = '' order by a.attnum limit 1""",
    )
    of = sql.Identifier(first)
    return {
        "insert": attempt(connection, insertion(table, own)),
        "update": attempt(connection, sql.SQL("update {} set {} = {} returning 1").format(name, of, of)),
        "delete": attempt(connection, sql.SQL("delete from {} returning 1").format(name)),
        "truncate": attempt(connection, sql.SQL("truncate {} cascade").format(name)),
    }


def check_nothing_is_written(connection: psycopg.Connection[Any], table: str, own: Corner) -> None:
    outcomes = write_attempts(connection, table, own)
    assert (outcomes["insert"], outcomes["truncate"]) == (None, None), f"{table} can be filled or emptied: {outcomes}"
    assert not outcomes["update"], f"{table} can be changed"
    assert not outcomes["delete"], f"{table} can be deleted from"


def test_a_person_reads_their_own_rows_of_five_tables(connection: psycopg.Connection[Any], people: People) -> None:
    become(connection, "authenticated", people.own.user_id)
    for table in tables(connection):
        rows = attempt(connection, sql.SQL("select to_jsonb(t) from {} t").format(sql.Identifier("public", table)))
        if table not in READABLE:
            assert not rows, f"{table} shows rows to a browser"
            continue
        assert rows, f"{table} does not show a person's own rows"
        for (row,) in rows:
            assert row.get("project_id", row["id"]) == str(people.own.project_id)
            assert row.get("user_id", people.own.user_id) == people.own.user_id


def test_a_person_writes_no_row_of_any_table(connection: psycopg.Connection[Any], people: People) -> None:
    become(connection, "authenticated", people.own.user_id)
    for table in tables(connection):
        check_nothing_is_written(connection, table, people.own)


@pytest.mark.parametrize(("role", "subject"), [("anon", None), ("authenticated", STRANGER)])
def test_strangers_read_and_write_nothing(
    connection: psycopg.Connection[Any], people: People, role: str, subject: str | None
) -> None:
    become(connection, role, subject)
    for table in tables(connection):
        read = attempt(connection, sql.SQL("select 1 from {}").format(sql.Identifier("public", table)))
        assert not read, f"{table} shows rows to a stranger"
        check_nothing_is_written(connection, table, people.own)


@pytest.mark.parametrize(
    "statement",
    [
        "update auth.users set banned_until = now() + interval '1 hour' where id = %s",
        "update auth.users set deleted_at = now() where id = %s",
        "delete from auth.users where id = %s",
    ],
    ids=["banned", "softly", "deleted"],
)
def test_account_that_gotrue_bans_or_deletes_reads_nothing_and_is_found(
    statement: str, project: str, people: People
) -> None:
    """GoTrue changes its tables as `supabase_auth_admin`. A token that was issued before stays valid at PostgREST."""
    own = people.own
    with psycopg.connect(plain(project).replace("//postgres@", "//supabase_admin@")) as connection:
        become(connection, "authenticated", own.user_id)
        assert connection.execute("select count(*) from memories").fetchone() != (0,)
        connection.execute("set local role supabase_auth_admin")
        connection.execute(statement, [own.account_id])
        become(connection, "authenticated", own.user_id)
        for table in READABLE:
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,), table
        connection.execute("set local role keepsake_system")
        connection.execute("select private.find_deleted_accounts()")
        found = connection.execute(
            "select 1 from private.deleted_accounts where account_id = %s", [own.account_id]
        ).fetchall()
        assert bool(found) is ("banned" not in statement)
        connection.rollback()


def test_query_of_the_example_shows_a_browser_its_own_memories(
    connection: psycopg.Connection[Any], people: People
) -> None:
    """examples/supabase_js/front-end.mjs sends it through PostgREST."""
    query = {"select": "id,content,created_at", "kind": "neq.message", "archived_at": "is.null"}
    query |= {"replaced_by": "is.null", "order": "created_at.desc", "limit": "50"}
    for corner in (people.own, people.other_user, people.other_project):
        claims = {"role": "authenticated", "sub": corner.user_id}
        rows = read_rows(connection, claims, "memories", query)
        assert [row["id"] for row in rows] == [str(corner.memory_id)]
    assert read_rows(connection, {"role": "authenticated", "sub": STRANGER}, "memories", query) == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        read_rows(connection, None, "memories", query)
