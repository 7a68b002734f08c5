"""A Postgres set up as Supabase sets up a new project: `postgres` is no superuser, and default privileges are generous.

Unless GoTrue itself makes the tables of `auth`, they come from our own shim.
"""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from app.adapters.embedded_postgres import BINARIES, EmbeddedPostgres
from app.identity.local import SHIM
from tests.sql import run_sql

# The superuser that created the server gets Supabase's name, so that `postgres` can be what it is there.
ROLES = (
    "create role renamer login superuser",
    "alter role postgres rename to supabase_admin",
    "create role postgres login createdb createrole bypassrls replication",
    "create role supabase_auth_admin login noinherit createrole",
)
EMPTY_AUTH_SQL = """
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;
create schema extensions;
create schema auth authorization supabase_auth_admin;
grant create on database project to supabase_auth_admin;
alter role supabase_auth_admin set search_path = 'auth';
"""
AUTH_SQL = """
drop extension vector;
create table auth.schema_migrations (version text primary key);
alter schema auth owner to supabase_auth_admin;
do $$
declare
  wanted record;
begin
  for wanted in select format('alter table auth.%I owner to supabase_auth_admin', tablename) as change
                from pg_tables where schemaname = 'auth' loop
    execute wanted.change;
  end loop;
end $$;
"""
PRIVILEGES_SQL = """
grant create on database project to postgres;
grant anon, authenticated, service_role to postgres with admin option;
alter schema extensions owner to postgres;
grant usage on schema public, extensions, auth to postgres, anon, authenticated, service_role;
grant all on all tables in schema auth to postgres;
grant all on all sequences in schema auth to postgres;
grant all on all routines in schema auth to postgres;
alter default privileges for role postgres in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on sequences to anon, authenticated, service_role;
"""


def trust_vector(server: EmbeddedPostgres, folder: Path) -> None:
    """Supabase lets `postgres` enable `vector` although it is no superuser. Here, the extension is declared trusted."""
    source = next(BINARIES.parent.rglob("extension/vector.control")).parent
    trusted = folder / "trusted" / "extension"
    trusted.mkdir(parents=True)
    for path in source.glob("vector*"):
        shutil.copy(path, trusted)
    with (trusted / "vector.control").open("a") as control:
        control.write("trusted = true\n")
    for path in (trusted.parent, trusted, *trusted.iterdir()):
        path.chmod(0o755)
    run_sql(server.url("postgres"), f"alter system set extension_control_path = '{trusted.parent}:$system'")
    run_sql(server.url("postgres"), "select pg_reload_conf()")


@asynccontextmanager
async def open_supabase_project(folder: Path, create_auth: Callable[[str], None] | None = None) -> AsyncIterator[str]:
    """The URL of the role `postgres` of a new project.

    `create_auth` makes the tables of `auth` with the address of `supabase_auth_admin`, as GoTrue's migrations do.
    """
    server = EmbeddedPostgres(folder)
    await server.start()
    try:
        trust_vector(server, folder)
        renamer = server.url("renamer").replace("/keepsake?", "/postgres?")
        run_sql(server.url("postgres"), ROLES[0])
        for statement in ROLES[1:]:
            run_sql(renamer, statement)
        run_sql(renamer, "create database project owner postgres")
        admin = server.url("supabase_admin").replace("/keepsake?", "/project?")
        if create_auth:
            run_sql(admin, EMPTY_AUTH_SQL)
            create_auth(admin.replace("//supabase_admin@", "//supabase_auth_admin@"))
        else:
            run_sql(admin, SHIM.read_text())
            run_sql(admin, AUTH_SQL)
        run_sql(admin, PRIVILEGES_SQL)
        yield server.url("postgres").replace("/keepsake?", "/project?")
    finally:
        await server.stop()
