"""Supabase's CLI and `migrate` can both apply the schema, on Postgres 17 and 18, and it grants only what it should."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.database.migrations import MIGRATIONS, migrate
from app.core.errors import ConfigurationError
from app.identity.local import GRANTS, SHIM
from app.settings import Settings

ROOT = Path(__file__).parent.parent
SUPABASE = ROOT / "supabase"
FILES = sorted(MIGRATIONS.iterdir())
DOOR_TESTS = sorted((SUPABASE / "tests").glob("*_test.sql"))
TAP = Path(__file__).parent / "tap.sql"
NAME = re.compile(r"([0-9]{14})_([a-z0-9_]+)\.sql")
# Syntax newer than Postgres 17, which Supabase runs.
ONLY_18 = {
    "uuidv7": r"\buuidv7\s*\(",
    "virtual generated column": r"generated\s+always\s+as\s*\((?:[^()]|\([^()]*\))*\)(?!\s*stored)",
    "returning old or new": r"\breturning\s+(?:old|new|with\s*\()",
    "without overlaps": r"without\s+overlaps|\bperiod\s+\w+\s*\)",
    "not enforced": r"\bnot\s+enforced\b",
}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def statements(path: Path) -> str:
    """The statements of a migration without comments and function bodies, where `begin` has another meaning."""
    text = re.sub(r"--[^\n]*", "", path.read_text())
    return re.sub(r"(\$\w*\$).*?\1", "''", text, flags=re.DOTALL).lower()


# ---------------------------------------------------------------- files


@each_file
def test_migration_names_match_supabases_cli(path: Path) -> None:
    assert NAME.fullmatch(path.name)


def test_migration_versions_are_unique() -> None:
    versions = [path.name.split("_")[0] for path in FILES]
    assert len(versions) == len(set(versions))


@each_file
def test_migrations_contain_no_transaction_statements(path: Path) -> None:
    assert not re.search(r"^\s*(begin|commit|rollback|start\s+transaction)\b", statements(path), re.MULTILINE)
    assert "concurrently" not in statements(path)


@each_file
def test_migrations_work_on_postgres_17(path: Path) -> None:
    """This includes function bodies."""
    text = re.sub(r"--[^\n]*", "", path.read_text()).lower()
    assert not [what for what, pattern in ONLY_18.items() if re.search(pattern, text)]


@each_file
def test_migrations_do_not_touch_auth(path: Path) -> None:
    """Migrations may refer to objects of `auth` but must not create them."""
    pattern = r"\b(create|alter|drop)\s+(or\s+replace\s+)?(table|function|type|view|schema)\s+(if\s+\w+\s+)*auth\b"
    assert not re.search(pattern, statements(path))


@each_file
def test_tables_enable_row_level_security_in_their_own_migration(path: Path) -> None:
    made = re.findall(r"create table (?:if not exists )?(\S+)", statements(path))
    for table in made:
        for wanted in (
            f"alter table {table} enable row level security",
            f"alter table {table} force row level security",
        ):
            assert wanted in statements(path), f"{wanted};"


@each_file
def test_security_definer_functions_set_an_empty_search_path(path: Path) -> None:
    """A search path set by the caller could put another table in place of the intended one."""
    for head in re.findall(r"create function.*?as\s", statements(path), re.DOTALL):
        if "security definer" in head:
            assert "set search_path = ''" in head, head


def test_supabase_cli_finds_its_files() -> None:
    config = tomllib.loads((SUPABASE / "config.toml").read_text())
    assert config["project_id"] == "keepsake"
    assert config["db"]["major_version"] == 17
    assert all((SUPABASE / path).exists() for path in config["db"]["seed"]["sql_paths"])
    assert (config["auth"]["minimum_password_length"], config["auth"]["jwt_expiry"]) == (
        Settings.model_fields["password_min_length"].default,
        Settings.model_fields["access_token_seconds"].default,
    )


# ---------------------------------------------------------------- a database with everything applied


@pytest.fixture(scope="module")
def admin_connection(postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(plain(postgres.url("postgres")), autocommit=True) as connection:
        yield connection


def plain(url: str) -> str:
    return url.replace("+psycopg", "", 1)


def column(connection: psycopg.Connection[Any], query: str) -> list[str]:
    return [row[0] for row in connection.execute(query)]


SHAPE = """
select table_schema || '.' || table_name || '.' || column_name || ' ' || data_type from information_schema.columns
where table_schema in ('public', 'auth', 'jobs', 'private')
union all select schemaname || '.' || tablename || ' ' || policyname || coalesce(qual, '') from pg_policies
union all select table_schema || '.' || table_name || ' ' || grantee || ' ' || privilege_type
from information_schema.role_table_grants where table_schema in ('public', 'auth', 'jobs')
union all select indexdef from pg_indexes where schemaname in ('public', 'auth', 'jobs')
union all select 'applied ' || version from supabase_migrations.schema_migrations
order by 1
"""


def test_migrating_twice_changes_nothing(postgres: EmbeddedPostgres, admin_connection: psycopg.Connection[Any]) -> None:
    before = column(admin_connection, SHAPE)
    assert migrate(postgres.url("postgres"), [SHIM], [GRANTS]) == []
    assert column(admin_connection, SHAPE) == before


def test_migration_history_matches_supabases_cli(admin_connection: psycopg.Connection[Any]) -> None:
    rows = admin_connection.execute(
        "select version, name from supabase_migrations.schema_migrations order by version"
    ).fetchall()
    matches = [NAME.fullmatch(path.name) for path in FILES]
    assert rows == [match.groups() for match in matches if match]


@pytest.fixture
def another(postgres: EmbeddedPostgres, admin_connection: psycopg.Connection[Any]) -> Iterator[str]:
    """A separate database on the same server, with all migrations applied."""
    admin_connection.execute("create database another")
    url = postgres.url("postgres").replace("/keepsake?", "/another?")
    migrate(url, [SHIM], [GRANTS])
    yield url
    admin_connection.execute("drop database another (force)")


def record(url: str, statement: str) -> None:
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute(statement)


def test_database_of_a_newer_version_is_refused(another: str) -> None:
    record(another, "insert into supabase_migrations.schema_migrations (version) values ('29991231000000')")
    with pytest.raises(ConfigurationError, match=r"migrated by a newer version.*29991231000000"):
        migrate(another, [SHIM], [GRANTS])


def test_missing_older_migration_is_refused(another: str) -> None:
    version = FILES[-2].name.split("_")[0]
    record(another, f"delete from supabase_migrations.schema_migrations where version = '{version}'")
    with pytest.raises(ConfigurationError, match=f"{version}.*--include-all"):
        migrate(another, [SHIM], [GRANTS])


def test_seeding_twice_equals_seeding_once(another: str) -> None:
    with psycopg.connect(plain(another), autocommit=True) as connection:
        for _ in range(2):
            connection.execute((SUPABASE / "seed.sql").read_text())
        assert column(connection, "select name from public.projects") == ["Demonstration"]
        assert column(connection, "select 1 from auth.users union all select 1 from public.api_keys") == []


def test_every_table_has_row_level_security(admin_connection: psycopg.Connection[Any]) -> None:
    open_tables = """
    select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)
    """
    assert column(admin_connection, open_tables) == []


def test_every_granted_table_has_a_policy(admin_connection: psycopg.Connection[Any]) -> None:
    """A grant without a policy returns no rows, which is safe but surely a mistake."""
    forgotten = """
    select g.table_name || ' to ' || g.grantee
    from (select table_name, grantee from information_schema.role_table_grants where table_schema = 'public'
          union select table_name, grantee from information_schema.column_privileges where table_schema = 'public') g
    where g.grantee in ('authenticated', 'keepsake_system') and not exists (
      select from pg_policies p
      where p.schemaname = 'public' and p.tablename = g.table_name and g.grantee::name = any(p.roles))
    """
    assert column(admin_connection, forgotten) == []


def test_no_grant_goes_to_public(admin_connection: psycopg.Connection[Any]) -> None:
    strangers = """
    select table_schema || '.' || table_name || ' to ' || grantee from information_schema.role_table_grants
    where table_schema in ('public', 'jobs') and grantee in ('PUBLIC', 'anon', 'keepsake_app')
    """
    assert column(admin_connection, strangers) == []


def test_private_functions_are_not_executable_by_public(admin_connection: psycopg.Connection[Any]) -> None:
    """Postgres grants execute on new functions to PUBLIC. Trigger functions cannot be called directly."""
    open_functions = """
    select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'private' and p.prorettype <> 'trigger'::regtype
      and has_function_privilege('anon', p.oid, 'execute')
    """
    assert column(admin_connection, open_functions) == []


def test_policy_functions_are_inlined(admin_connection: psycopg.Connection[Any]) -> None:
    """A function with settings or definer rights is called for every statement and table instead."""
    calls = """
    select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'private' and p.proname in ('project_id', 'user_id')
      and (p.prosecdef or p.proconfig is not null or p.prosqlbody is null)
    """
    assert column(admin_connection, calls) == []


def test_server_login_owns_nothing_and_cannot_bypass_row_level_security(
    admin_connection: psycopg.Connection[Any],
) -> None:
    powers = (
        "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolinherit from pg_roles where rolname = %s"
    )
    for role in ("keepsake_app", "keepsake_system"):
        assert admin_connection.execute(powers, [role]).fetchall() == [(False,)]
        owned = "select relname from pg_class where relowner = %s::regrole"
        assert admin_connection.execute(owned, [role]).fetchall() == []
    becomes = """
    select m.roleid::regrole::text from pg_auth_members m where m.member = 'keepsake_app'::regrole order by 1
    """
    assert column(admin_connection, becomes) == ["authenticated", "keepsake_system"]


# ---------------------------------------------------------------- Supabase's SQL tests (pgTAP)


def run_door_test(connection: psycopg.Connection[Any], text: str) -> list[str]:
    """The output lines of a test file, run in a database with our subset of pgTAP."""
    said: list[str] = []
    for statement in split(text):
        cursor = connection.execute(statement.encode())
        if cursor.description:
            said += [str(row[0]) for row in cursor]
    return said


def split(text: str) -> list[str]:
    """Splits at semicolons outside of dollar quotes and quotes."""
    code = re.sub(r"--[^\n]*", "", text)
    parts = re.findall(r"(?:\$\$.*?\$\$|'(?:[^']|'')*'|[^;$'])+", code, re.DOTALL)
    return [part.strip() for part in parts if part.strip()]


@pytest.fixture
def tap(another: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(plain(another), autocommit=True) as connection:
        connection.execute(TAP.read_text())
        connection.execute("set search_path = public, tap, extensions")
        yield connection


@pytest.mark.parametrize("path", DOOR_TESTS, ids=lambda path: path.name)
def test_sql_tests_of_supabase_pass(path: Path, tap: psycopg.Connection[Any]) -> None:
    said = run_door_test(tap, path.read_text())
    planned = int(said[0].removeprefix("1.."))
    assert planned > 5
    assert [line for line in said[1:] if not line.startswith("ok ")] == []
    assert len(said) == planned + 1


@pytest.mark.parametrize("path", DOOR_TESTS, ids=lambda path: path.name)
def test_sql_tests_fail_when_a_policy_is_missing(path: Path, tap: psycopg.Connection[Any]) -> None:
    for table in column(tap, "select tablename from pg_tables where schemaname = 'public'"):
        tap.execute(sql.SQL("grant all on public.{} to public").format(sql.Identifier(table)))
        tap.execute(sql.SQL("alter table public.{} disable row level security").format(sql.Identifier(table)))
    assert [line for line in run_door_test(tap, path.read_text()) if line.startswith("not ok")]
