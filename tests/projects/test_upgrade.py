"""Memberships that were made before people were invited: they stay, and keep the default project of their account."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.database.migrations import local_versions, migrate
from app.identity.local import GRANTS, SHIM

INVITATIONS = "20261129150100"
NAMES = ("founder", "second", "shared_user", "end_user")
INSERT_ACCOUNT_SQL = "insert into auth.users (id, email) values (%s, %s)"
INSERT_ORGANIZATION_SQL = "insert into organizations (id, name, personal) values (%s, 'O', true)"
INSERT_PROJECT_SQL = "insert into projects (organization_id, name, shared) values (%s, %s, %s) returning id"
INSERT_OWNER_SQL = "insert into organization_members (organization_id, account_id, role) values (%s, %s, 'OWNER')"
INSERT_USER_SQL = "insert into project_members (project_id, account_id, role) values (%s, %s, 'USER')"
SELECT_DEFAULT_SQL = "select project_id from private.resolve_account(%s, gen_random_uuid(), null)"
SELECT_ALL_SQL = "select project_id from private.projects_of(%s)"


@pytest.fixture
def earlier(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of the release before invitations."""
    name = f"earlier_{uuid.uuid4().hex[:8]}"
    admin = postgres.url("postgres").replace("+psycopg", "", 1)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    url = postgres.url("postgres").replace("/keepsake?", f"/{name}?")
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(SHIM.read_bytes())
        connection.execute("create schema supabase_migrations")
        connection.execute("create table supabase_migrations.schema_migrations (version text primary key, name text)")
        connection.execute("alter table supabase_migrations.schema_migrations add column statements text[]")
        for version, path in local_versions().items():
            if version < INVITATIONS:
                connection.execute(path.read_bytes())
                connection.execute("insert into supabase_migrations.schema_migrations values (%s)", [version])
    yield url
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"drop database {name} (force)".encode())


def found(connection: psycopg.Connection[Any], query: str, account: uuid.UUID) -> set[str]:
    return {str(row[0]) for row in connection.execute(query.encode(), [account]) if row[0]}


def test_upgrade_keeps_memberships_and_default_projects(earlier: str) -> None:
    accounts = {name: uuid.uuid4() for name in NAMES}
    organizations = {name: uuid.uuid4() for name in ("founder", "second", "shared")}
    projects = {}
    with psycopg.connect(earlier.replace("+psycopg", "", 1), autocommit=True) as connection:
        for name, account in accounts.items():
            connection.execute(INSERT_ACCOUNT_SQL, [account, f"{name}@example.com"])
        for name, organization in organizations.items():
            with connection.transaction():
                connection.execute(INSERT_ORGANIZATION_SQL, [organization])
                if name in accounts:
                    connection.execute(INSERT_OWNER_SQL, [organization, accounts[name]])
            values = [organization, name, name == "shared"]
            [(projects[name],)] = connection.execute(INSERT_PROJECT_SQL, values).fetchall()
        # The founder adds the second person, who then deletes the own project, and an end user without one.
        connection.execute(INSERT_OWNER_SQL, [organizations["founder"], accounts["second"]])
        connection.execute("delete from projects where id = %s", [projects["second"]])
        connection.execute(INSERT_USER_SQL, [projects["founder"], accounts["end_user"]])
        connection.execute(INSERT_USER_SQL, [projects["shared"], accounts["shared_user"]])
        before = {name: found(connection, SELECT_ALL_SQL, account) for name, account in accounts.items()}
        assert migrate(earlier, [SHIM], [GRANTS])[0] == INVITATIONS
        assert {name: found(connection, SELECT_ALL_SQL, account) for name, account in accounts.items()} == before
        defaults = {name: found(connection, SELECT_DEFAULT_SQL, account) for name, account in accounts.items()}
    assert defaults == {
        "founder": {str(projects["founder"])},
        "second": set(),
        "shared_user": {str(projects["shared"])},
        "end_user": {str(projects["founder"])},
    }
