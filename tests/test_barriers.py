"""Three barriers between projects, each tested with the other two disabled, and the access that browsers have."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from sqlalchemy import CursorResult, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app import main
from app.core.database.database import Database, ProjectModel
from app.core.database.repository import Repository
from app.core.errors import NotFound
from tests.rows import (
    TABLES_OF_A_PROJECT,
    Corner,
    fill,
    fill_in,
    insert_row,
    make_project,
    make_room,
    renewed,
    stored_message,
)

EVERY_ROOM = main.ROUTERS
"""Importing the house imports every repository."""
TABLES = sorted(Corner(uuid.uuid4(), "anna").rows())
# Tables that a project's own transaction may use. The others belong to the system.
OWN_TABLES = [table for table in TABLES if table not in ("invitations", "project_members", "vector_removals")]
OF_NO_USER = (
    "usage_by_day",
    "api_keys",
    "token_usage",
    "memory_vectors",
    "memory_words",
    "webhooks",
    "webhook_deliveries",
    "legal_holds",
    "erasures",
    "retention_runs",
)
OF_ONE_USER = [table for table in OWN_TABLES if table not in OF_NO_USER]
NEVER_DELETED = ("token_usage", "usage_by_day", "erasures")
REFERENCES = [
    ("sessions", "profile_id"),
    ("messages", "session_id"),
    ("memories", "profile_id"),
    ("portraits", "profile_id"),
]
SHOWN_TO_BROWSERS = ["memories", "messages", "profiles", "sessions"]


def subclasses(parent: type[Repository[ProjectModel]]) -> list[type[Repository[ProjectModel]]]:
    return [found for child in parent.__subclasses__() for found in (child, *subclasses(child))]


REPOSITORIES = sorted(
    (child for child in subclasses(Repository) if child.__module__.startswith("app.") and hasattr(child, "model")),
    key=lambda child: child.__name__,
)


async def new_corner(admin_engine: AsyncEngine) -> Corner:
    async with AsyncSession(admin_engine) as tx, tx.begin():
        project, _ = await make_project(tx)
        corner = Corner(project, "anna")
        await fill_in(tx, corner)
    return corner


@pytest_asyncio.fixture
async def ours(admin_engine: AsyncEngine) -> Corner:
    return await new_corner(admin_engine)


@pytest_asyncio.fixture
async def theirs(admin_engine: AsyncEngine) -> Corner:
    """A second project whose user has the same name."""
    return await new_corner(admin_engine)


async def test_rows_cover_every_table_of_a_project(admin_engine: AsyncEngine) -> None:
    async with admin_engine.connect() as connection:
        # A row of content_keys would stop the next start, which lacks the master key.
        assert sorted(await connection.scalars(TABLES_OF_A_PROJECT)) == sorted([*TABLES, "content_keys"])


# ---------------------------------------------------------------- first barrier: repositories


async def add_stored_message(tx: AsyncSession, corner: Corner) -> uuid.UUID:
    await insert_row(tx, "memories", stored_message(corner))
    return corner.stored_message_id


@pytest.mark.parametrize("repository", REPOSITORIES, ids=lambda repository: repository.__name__)
async def test_repository_never_finds_a_row_of_another_project(
    repository: type[Repository[ProjectModel]], admin_engine: AsyncEngine, ours: Corner, theirs: Corner
) -> None:
    table = repository.model.__tablename__
    async with AsyncSession(admin_engine) as tx:
        find_id = text(f"select id from public.{table} where project_id = :project")
        our_id = await tx.scalar(find_id, {"project": ours.project_id})
        their_id = await tx.scalar(find_id, {"project": theirs.project_id})
        if repository.__name__ == "StoredMessageRepository":
            our_id, their_id = [await add_stored_message(tx, corner) for corner in (ours, theirs)]
        asked = repository(tx, ours.project_id)
        assert await asked.find(our_id), "the row of its own must be found, or this proves nothing"
        assert await asked.find(their_id) is None
        rows = list(await tx.scalars(asked.rows))
        assert {row.project_id for row in rows} == {ours.project_id}
        with pytest.raises(NotFound):
            await asked.update(their_id)
        with pytest.raises(NotFound):
            await asked.delete(their_id)


async def test_every_table_of_a_project_has_a_repository() -> None:
    assert {"ApiKeyRepository"} <= {repository.__name__ for repository in REPOSITORIES}


# ---------------------------------------------------------------- second barrier: row-level security


@pytest.mark.parametrize("table", OWN_TABLES)
async def test_query_without_where_returns_one_project(
    table: str, database: Database, ours: Corner, theirs: Corner
) -> None:
    async with database.transaction(ours.project_id) as tx:
        assert set(await tx.scalars(text(f"select project_id from {table}"))) == {ours.project_id}


@pytest.mark.parametrize("table", [table for table in OWN_TABLES if table not in NEVER_DELETED])
async def test_delete_without_where_deletes_in_one_project(
    table: str, database: Database, admin_engine: AsyncEngine, ours: Corner, theirs: Corner
) -> None:
    async with database.transaction(ours.project_id) as tx:
        assert await changed_by(tx, f"delete from {table}") == 1
    async with admin_engine.connect() as connection:
        count = text(f"select count(*) from public.{table} where project_id = :project")
        assert await connection.scalar(count, {"project": theirs.project_id}) == 1


@pytest.mark.parametrize("table", OWN_TABLES)
async def test_update_without_where_changes_one_project(
    table: str, database: Database, ours: Corner, theirs: Corner
) -> None:
    async with database.transaction(ours.project_id) as tx:
        assert await changed_by(tx, f"update {table} set project_id = project_id") == 1


@pytest.mark.parametrize("table", OWN_TABLES)
async def test_row_cannot_be_inserted_into_another_project(
    table: str, database: Database, ours: Corner, theirs: Corner
) -> None:
    """Keeps every reference valid, so that only row-level security can refuse the row."""
    row = renewed(table, theirs)
    with pytest.raises(ProgrammingError, match="violates row-level security"):
        async with database.transaction(ours.project_id) as tx:
            await insert_row(tx, table, row)
    async with database.transaction(theirs.project_id) as tx:
        await make_room(tx, table, theirs)
        await insert_row(tx, table, row)


@pytest.mark.parametrize("table", ["api_keys", "memory_history", "events"])
async def test_row_cannot_be_moved_into_another_project(
    table: str, database: Database, ours: Corner, theirs: Corner
) -> None:
    with pytest.raises(ProgrammingError, match="violates row-level security"):
        async with database.transaction(ours.project_id) as tx:
            await tx.execute(text(f"update {table} set project_id = :project"), {"project": theirs.project_id})


@pytest.mark.parametrize("table", OF_ONE_USER)
async def test_transaction_of_an_end_user_sees_one_user(
    table: str, database: Database, admin_engine: AsyncEngine, ours: Corner
) -> None:
    bert = Corner(ours.project_id, "bert")
    await fill(admin_engine, bert)
    async with database.transaction(ours.project_id, "bert") as tx:
        assert set(await tx.scalars(text(f"select user_id from {table}"))) == {"bert"}
        assert await changed_by(tx, f"update {table} set project_id = project_id") == 1
    with pytest.raises(ProgrammingError, match="violates row-level security"):
        async with database.transaction(ours.project_id, "bert") as tx:
            await insert_row(tx, table, renewed(table, ours))


async def test_end_user_sees_no_api_keys_and_changes_no_project(database: Database, ours: Corner) -> None:
    async with database.transaction(ours.project_id, "anna") as tx:
        assert list(await tx.scalars(text("select id from api_keys"))) == []
        assert await changed_by(tx, "update projects set name = 'Mine'") == 0


@pytest.mark.parametrize(
    "table",
    ["invitations", "project_members", "vector_removals", "organizations", "organization_members", "content_keys"],
)
async def test_project_cannot_read_system_tables(table: str, database: Database, ours: Corner) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with database.transaction(ours.project_id) as tx:
            await tx.execute(text(f"select * from {table}"))


async def test_project_can_change_only_itself(database: Database, ours: Corner, theirs: Corner) -> None:
    async with database.transaction(ours.project_id) as tx:
        assert list(await tx.scalars(text("select id from projects"))) == [ours.project_id]
        assert await changed_by(tx, "update projects set name = 'New'") == 1


# ---------------------------------------------------------------- third barrier: foreign keys


@pytest.mark.parametrize(("table", "reference"), REFERENCES)
async def test_reference_to_a_row_of_another_project_is_refused(
    table: str, reference: str, admin_engine: AsyncEngine, ours: Corner, theirs: Corner
) -> None:
    row = renewed(table, ours)
    async with AsyncSession(admin_engine) as tx:
        with pytest.raises(IntegrityError, match="foreign key"):
            async with tx.begin_nested():
                await insert_row(tx, table, {**row, reference: getattr(theirs, reference)})
        await make_room(tx, table, ours)
        await insert_row(tx, table, row)


@pytest.mark.parametrize(("table", "reference"), REFERENCES)
async def test_reference_to_a_row_of_another_user_is_refused(
    table: str, reference: str, admin_engine: AsyncEngine, ours: Corner
) -> None:
    bert = Corner(ours.project_id, "bert")
    await fill(admin_engine, bert)
    async with AsyncSession(admin_engine) as tx:
        with pytest.raises(IntegrityError, match="foreign key"):
            await insert_row(tx, table, {**renewed(table, ours), reference: getattr(bert, reference)})


async def test_every_foreign_key_between_rows_of_projects_carries_the_project(admin_engine: AsyncEngine) -> None:
    query = text(
        "select conrelid::regclass::text, array(select attname::text from pg_attribute"
        "  where attrelid = conrelid and attnum = any (conkey))"
        " from pg_constraint where contype = 'f' and confrelid in (select attrelid from pg_attribute"
        "  where attname = 'project_id') and connamespace = 'public'::regnamespace"
    )
    async with admin_engine.connect() as connection:
        keys = [tuple(row) for row in await connection.execute(query)]
    assert len(keys) >= 3
    assert [table for table, columns in keys if "project_id" not in columns] == []


# ---------------------------------------------------------------- browser access


@asynccontextmanager
async def browser(admin_engine: AsyncEngine, account_id: uuid.UUID) -> AsyncIterator[AsyncSession]:
    """Opens a transaction the way Supabase's REST server does for a signed-in person."""
    claims = {"sub": str(account_id), "role": "authenticated"}
    async with AsyncSession(admin_engine) as tx, tx.begin():
        await tx.execute(
            text("select set_config('role', 'authenticated', true), set_config('request.jwt.claims', :claims, true)"),
            {"claims": json.dumps(claims)},
        )
        yield tx


@pytest_asyncio.fixture
async def person(admin_engine: AsyncEngine, ours: Corner) -> Corner:
    """The rows of a signed-in account in a project where other users have rows too."""
    account_id = uuid.uuid4()
    corner = Corner(ours.project_id, str(account_id), account_id=account_id)
    await fill(admin_engine, corner)
    return corner


@pytest.mark.parametrize("table", SHOWN_TO_BROWSERS)
async def test_browser_sees_the_persons_own_rows(table: str, admin_engine: AsyncEngine, person: Corner) -> None:
    async with browser(admin_engine, person.account_id) as tx:
        assert list(await tx.scalars(text(f"select user_id from public.{table}"))) == [person.user_id]


@pytest.mark.parametrize("table", SHOWN_TO_BROWSERS)
async def test_browser_sees_nothing_of_other_projects(
    table: str, admin_engine: AsyncEngine, person: Corner, theirs: Corner
) -> None:
    """An application may use the same id for one of its own users."""
    namesake = Corner(theirs.project_id, person.user_id)
    await fill(admin_engine, namesake)
    async with browser(admin_engine, person.account_id) as tx:
        assert list(await tx.scalars(text(f"select project_id from public.{table}"))) == [person.project_id]


@pytest.mark.parametrize("table", SHOWN_TO_BROWSERS)
async def test_browser_shows_nothing_to_a_removed_member(table: str, admin_engine: AsyncEngine, person: Corner) -> None:
    async with AsyncSession(admin_engine) as tx, tx.begin():
        leave = text("delete from public.project_members where account_id = :account")
        await tx.execute(leave, {"account": person.account_id})
    async with browser(admin_engine, person.account_id) as tx:
        assert list(await tx.scalars(text(f"select id from public.{table}"))) == []


@pytest.mark.parametrize("table", SHOWN_TO_BROWSERS)
async def test_browser_cannot_write(table: str, admin_engine: AsyncEngine, person: Corner) -> None:
    async with browser(admin_engine, person.account_id) as tx:
        assert await changed_by(tx, f"update public.{table} set project_id = project_id") == 0
        assert await changed_by(tx, f"delete from public.{table}") == 0
    with pytest.raises(ProgrammingError, match="violates row-level security"):
        async with browser(admin_engine, person.account_id) as tx:
            await insert_row(tx, table, renewed(table, person))


@pytest.mark.parametrize("table", [table for table in OWN_TABLES if table not in SHOWN_TO_BROWSERS])
async def test_browser_sees_no_administrative_tables(table: str, admin_engine: AsyncEngine, person: Corner) -> None:
    async with browser(admin_engine, person.account_id) as tx:
        assert list(await tx.scalars(text(f"select project_id from public.{table}"))) == []


async def test_browser_sees_the_persons_projects_and_cannot_change_them(
    admin_engine: AsyncEngine, person: Corner, theirs: Corner
) -> None:
    async with browser(admin_engine, person.account_id) as tx:
        assert list(await tx.scalars(text("select id from public.projects"))) == [person.project_id]
        assert await changed_by(tx, "update public.projects set name = 'Mine'") == 0


@pytest.mark.parametrize(
    "call",
    [
        "projects_of(gen_random_uuid())",
        "address_of(gen_random_uuid())",
        "email_of(gen_random_uuid())",
        "may_invite(gen_random_uuid(), null, gen_random_uuid())",
    ],
)
async def test_browser_cannot_query_other_people(call: str, admin_engine: AsyncEngine, person: Corner) -> None:
    with pytest.raises(ProgrammingError, match="permission denied for function"):
        async with browser(admin_engine, person.account_id) as tx:
            await tx.execute(text(f"select private.{call}"))


async def changed_by(tx: AsyncSession, statement: str) -> int:
    result = await tx.execute(text(statement))
    assert isinstance(result, CursorResult)
    return result.rowcount
