"""The one place that opens transactions. Nothing else in the house calls commit()."""

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any, ClassVar

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import namedtuple_row
from sqlalchemy import ClauseElement, MetaData, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import PoolProxiedConnection, QueuePool
from sqlalchemy.types import DateTime
from sqlalchemy.util import greenlet_spawn

RUNTIME_ROLE = "keepsake_app"
STATEMENT_TIMEOUT = "15s"
# Supavisor hands out another connection for each transaction, which knows nothing of statements prepared before.
TRANSACTION_POOLER_PORT = 6543
SEARCH_PATH = "public,jobs,extensions"
ENTER = text(
    "select set_config('role', :role, true), set_config('request.jwt.claims', :claims, true),"
    " set_config('statement_timeout', :timeout, true)"
)
PSYCOPG = make_url("postgresql+psycopg://").get_dialect()()
SYSTEM: tuple[str, Mapping[str, object]] = ("keepsake_system", {"role": "keepsake_system"})
NO_WAIT = text("select set_config('synchronous_commit', 'off', true)")
Driver = psycopg.AsyncConnection[Any]
Statement = tuple[ClauseElement, Mapping[str, object]]


class Model(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(schema="public")
    # What the database fills in comes back with the statement: asking later would need a round trip nobody awaits.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012  # SQLAlchemy declares it as an instance variable
    type_annotation_map: ClassVar = {dt.datetime: DateTime(timezone=True)}


class ProjectModel(Model):
    """Base of every table whose rows belong to one project."""

    __abstract__ = True

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    project_id: Mapped[uuid.UUID]


class Database:
    """Postgres as the runtime role, which owns nothing and may do nothing until a transaction says for whom it acts.

    The driver begins no transaction by itself: each is begun here, in the round trip that says for whom it acts. What
    every request asks goes to the driver without SQLAlchemy in between, which takes three times as long.
    """

    def __init__(self, url: str, *, pool_size: int = 10, pool_timeout: float = 30) -> None:
        self.url = url
        self.engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout,
            pool_reset_on_return=None,  # whoever takes a connection ends what it began
            hide_parameters=True,
            connect_args={
                "autocommit": True,
                "prepare_threshold": None if make_url(url).port == TRANSACTION_POOLER_PORT else 2,
                "options": f"-c role={RUNTIME_ROLE} -c search_path={SEARCH_PATH} -c timezone=UTC",
            },
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(
        self, project_id: uuid.UUID, user_id: str | None = None, account_id: uuid.UUID | None = None
    ) -> AsyncIterator[AsyncSession]:
        """One short transaction in which Postgres shows one project's rows, or one user's in it, and nothing else."""
        async with self._open(*member(project_id, user_id, account_id)) as tx:
            yield tx

    async def at_once(self, project_id: uuid.UUID, user_id: str | None, *statements: Statement) -> Sequence[Any]:
        """What `transaction` does with statements that need nothing from each other, in one round trip; the rows of
        the last, as named tuples. Between two synchronisations Postgres takes what it is sent as one transaction."""
        return await self._at_once(*member(project_id, user_id), *statements)

    async def system_at_once(self, *statements: Statement) -> Sequence[Any]:
        """What `system` does, in one round trip. For what may be lost to a power cut, since it can be found out again:
        nobody waits for the disk."""
        return await self._at_once(*SYSTEM, (NO_WAIT, {}), *statements)

    async def read_out(
        self, project_id: uuid.UUID, user_id: str | None, statement: Statement
    ) -> Sequence[Sequence[bytes | None]]:
        """One statement whose answer may be large, in one round trip, as Postgres writes it. A thread reads it in one
        go: the event loop would be woken for every eight kilobytes."""
        async with self._driver() as driver:
            spelled = psycopg.AsyncClientCursor(driver).mogrify
            entered = spelled(*_spelled(ENTER, entry(*member(project_id, user_id))))
            sql = f"{entered}; {spelled(*_spelled(*statement))}".encode()
            reading = asyncio.get_running_loop().run_in_executor(None, _read_out, driver.pgconn, sql)
            try:
                return await asyncio.shield(reading)
            finally:
                # Whoever stops waiting does not take the connection from under the thread.
                await asyncio.wait([reading])

    async def _at_once(self, role: str, claims: Mapping[str, object], *statements: Statement) -> Sequence[Any]:
        async with self._driver() as driver:
            return await _pipeline(driver, [(ENTER, entry(role, claims)), *statements])

    @asynccontextmanager
    async def system(self) -> AsyncIterator[AsyncSession]:
        """For work that belongs to no project: accounts, sign-up, sweeps. Sees ids and states, never what was said."""
        async with self._open(*SYSTEM) as tx:
            yield tx

    @asynccontextmanager
    async def _open(self, role: str, claims: Mapping[str, object]) -> AsyncIterator[AsyncSession]:
        async with self._sessions.begin() as tx:
            connection = (await tx.connection()).sync_connection
            assert connection is not None
            with _as_ours():
                await _begin(_driver_behind(connection.connection), role, claims)
            yield tx

    async def ask(self, sql: str, values: Mapping[str, object]) -> Any | None:
        """One statement in one round trip as the bare runtime role: for the `private` functions open to it."""
        async with self._driver() as driver:
            rows = driver.cursor(binary=True, row_factory=namedtuple_row)
            await rows.execute(*_spelled(_read(sql), values))
            return await rows.fetchone()

    @asynccontextmanager
    async def _driver(self) -> AsyncIterator[Driver]:
        """A connection of the pool as it is. It does not go back with an answer still to come."""
        with _as_ours():
            lent = await greenlet_spawn(self._pool().connect)
        driver = _driver_behind(lent)
        try:
            with _as_ours():
                yield driver
        finally:
            if driver.closed or driver.info.transaction_status != TransactionStatus.IDLE:
                await greenlet_spawn(lent.invalidate)
            lent.close()

    async def healthy(self) -> bool:
        try:
            return await self.ask("select 1", {}) is not None
        except SQLAlchemyError:
            return False

    def pool_state(self) -> tuple[int, int]:
        """How many connections there may be, and how many are in use."""
        pool = self._pool()
        return pool.size(), pool.checkedout()

    def _pool(self) -> QueuePool:
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)
        return pool

    async def close(self) -> None:
        await self.engine.dispose()


def member(
    project_id: uuid.UUID, user_id: str | None, account_id: uuid.UUID | None = None
) -> tuple[str, Mapping[str, object]]:
    """For whom Postgres is to act: one project, or one user in it."""
    claims = {
        "role": "authenticated",
        "sub": str(account_id) if account_id else None,
        "keepsake": {"project_id": str(project_id), "user_id": user_id},
    }
    return "authenticated", claims


def entry(role: str, claims: Mapping[str, object]) -> Mapping[str, object]:
    return {"role": role, "claims": json.dumps(claims), "timeout": STATEMENT_TIMEOUT}


async def _begin(driver: Driver, role: str, claims: Mapping[str, object]) -> None:
    async with driver.pipeline():
        await driver.execute(b"begin")
        await driver.execute(*_spelled(ENTER, entry(role, claims)))


async def _pipeline(driver: Driver, statements: Sequence[Statement]) -> Sequence[Any]:
    async with driver.pipeline():
        for statement, values in statements[:-1]:
            await driver.execute(*_spelled(statement, values))
        last = driver.cursor(binary=True, row_factory=namedtuple_row)
        await last.execute(*_spelled(*statements[-1]))
    return await last.fetchall() if last.pgresult and last.pgresult.nfields else []


def _read_out(connection: PGconn, sql: bytes) -> list[list[bytes | None]]:
    result = connection.exec_(sql)
    if result.status != ExecStatus.TUPLES_OK:
        raise error_from_result(result)
    return [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]


def _driver_behind(lent: PoolProxiedConnection) -> Driver:
    driver = lent.driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    return driver


@contextmanager
def _as_ours() -> Iterator[None]:
    """The driver's errors as SQLAlchemy tells them, so that there is one kind to answer. Values are in none of them."""
    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError.instance("at_once", None, error, psycopg.Error, hide_parameters=True) from error


def _spelled(statement: ClauseElement, values: Mapping[str, object]) -> tuple[bytes, Mapping[str, object]]:
    sql, constants = _compiled(statement)
    return sql, {**constants, **values}


@lru_cache(maxsize=64)
def _compiled(statement: ClauseElement) -> tuple[bytes, Mapping[str, object]]:
    """As the driver reads it, and the values that are part of the statement itself."""
    compiled = statement.compile(dialect=PSYCOPG)
    return str(compiled).encode(), compiled.params


@lru_cache(maxsize=64)
def _read(sql: str) -> ClauseElement:
    return text(sql)
