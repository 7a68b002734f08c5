"""PipelineConnection: prepared statements, large results, lost connections and cancelled callers."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.database.database import Database, Statement
from app.core.database.pipeline import MAX_PREPARED, PipelineConnection
from tests.patience import PATIENCE_SECONDS

PREPARED = b"select count(*) as many from pg_prepared_statements"
ECHO = text("select cast(:words as text) as words")
Driver = psycopg.AsyncConnection[tuple[object, ...]]


@pytest_asyncio.fixture
async def driver(postgres: EmbeddedPostgres) -> AsyncIterator[Driver]:
    url = postgres.url("keepsake_app").replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as driver:
        yield driver


async def test_statement_is_prepared_once_per_combination_of_types(driver: Driver) -> None:
    connection = PipelineConnection(driver, prepares=True)
    for value in (1, 2, 3, "a", "b", None):
        await connection.execute((b"select $1 as value", [value]))
    assert (await connection.execute((PREPARED, ())))[0].many == 3


async def test_number_of_prepared_statements_is_limited(driver: Driver) -> None:
    connection = PipelineConnection(driver, prepares=True)
    for number in range(MAX_PREPARED + 20):
        assert (await connection.execute((f"select {number} as number".encode(), ())))[0].number == number
    assert (await connection.execute((PREPARED, ())))[0].many == MAX_PREPARED


async def test_nothing_is_prepared_behind_a_transaction_pooler(driver: Driver) -> None:
    connection = PipelineConnection(driver, prepares=False)
    assert (await connection.execute((b"select $1::int as n", [1]), (b"select $1::int as n", [2])))[0].n == 2
    assert (await connection.execute((PREPARED, ())))[0].many == 0


async def test_deallocated_statement_is_prepared_again(driver: Driver) -> None:
    connection = PipelineConnection(driver, prepares=True)
    for statements in ([(b"select 1 as n", ())], [(b"begin", ()), (b"select 1 as n", ())]):
        await connection.execute(*statements)
        await driver.execute("rollback")
        await driver.execute("deallocate all")
        assert (await connection.execute(*statements))[0].n == 1


async def test_connection_works_after_a_failed_statement(driver: Driver) -> None:
    connection = PipelineConnection(driver, prepares=True)
    for _ in range(3):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.execute((b"select 1 as n", ()), (b"select 1 / $1::int", [0]), (b"select 2 as n", ()))
        with pytest.raises(psycopg.errors.SyntaxError):
            await connection.execute((b"selekt", ()))
        assert (await connection.execute((b"select 2 as n", ())))[0].n == 2


async def test_long_text_is_sent_and_received(database: Database, project_id: uuid.UUID) -> None:
    words = "Grüße, 世界 " * 300_000
    (row,) = await database.pipeline(project_id, None, (ECHO, {"words": words}))
    assert row.words == words
    ((read,),) = await database.fetch_text(project_id, None, (ECHO, {"words": words}))
    assert (read or b"").decode() == words


async def test_large_results_are_read_while_the_next_statements_are_sent(
    database: Database, project_id: uuid.UUID
) -> None:
    """Postgres does not read on before its results are read: without this, both sides wait for each other."""
    words = "Grüße, 世界 " * 300_000
    async with asyncio.timeout(PATIENCE_SECONDS):
        (row,) = await database.pipeline(project_id, None, *[(ECHO, {"words": words})] * 3)
        ((read,),) = await database.fetch_text(project_id, None, (ECHO, {"words": words}))
    assert row.words == words
    assert (read or b"").decode() == words


async def test_lost_connection_fails_once(postgres: EmbeddedPostgres, project_id: uuid.UUID) -> None:
    database = Database(postgres.url("keepsake_app"), pool_size=1)
    for ask in (database.pipeline, database.fetch_text):
        pid = await database.call_private("select pg_backend_pid()", {})
        with psycopg.connect(postgres.url("postgres").replace("+psycopg", "")) as other:
            other.execute("select pg_terminate_backend(%s)", pid)
        with pytest.raises(OperationalError):
            await ask(project_id, None, (ECHO, {"words": ""}))
        assert await database.call_private("select 1", {}) == (1,)
    await database.close()


async def test_cancelled_fetch_leaves_the_pool_usable(database: Database, project_id: uuid.UUID) -> None:
    much: Statement = (text("select repeat('x', 20000000) as words, pg_sleep(0.02)"), {})
    for _ in range(5):
        asking = asyncio.create_task(database.fetch_text(project_id, None, much))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert await database.call_private("select 1", {}) == (1,)
    assert database.pool_state()[1] == 0
