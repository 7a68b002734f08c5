"""The one place that opens transactions. Nothing else in the house calls commit()."""

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import ClauseElement, MetaData, TextClause, make_url, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import PoolProxiedConnection, QueuePool
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import DateTime
from sqlalchemy.util import greenlet_spawn

from app.core.database.pipeline import Asked, Wire

RUNTIME_ROLE = "keepsake_app"
STATEMENT_TIMEOUT = "15s"
# Supavisor hands out another connection for each transaction, which knows nothing of statements prepared before.
TRANSACTION_POOLER_PORT = 6543
SEARCH_PATH = "public,jobs,extensions"
# A plan is kept until somebody counts the table anew: one made while it was empty must use its indexes, too.
ENTER = text(
    "select set_config('role', :role, true), set_config('request.jwt.claims', :claims, true),"
    " set_config('statement_timeout', :timeout, true), set_config('enable_seqscan', 'off', true),"
    " set_config('jit', 'off', true)"
)
POSTGRES = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
SYSTEM: tuple[str, Mapping[str, object]] = ("keepsake_system", {"role": "keepsake_system"})
NO_WAIT = text("select set_config('synchronous_commit', 'off', true)")
Driver = psycopg.AsyncConnection[Any]
Statement = tuple[ClauseElement, Mapping[str, object]]
Written = tuple[TextClause, Mapping[str, object]]
"""A statement in SQL of our own."""


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
        self._pooled = make_url(url).port == TRANSACTION_POOLER_PORT
        self._wires: WeakKeyDictionary[Driver, Wire] = WeakKeyDictionary()
        self.engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout,
            pool_use_lifo=True,  # the one used last has its plans and its tables at hand, in Postgres and in the caches
            pool_reset_on_return=None,  # whoever takes a connection ends what it began
            hide_parameters=True,
            connect_args={
                "autocommit": True,
                "prepare_threshold": None if self._pooled else 2,
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

    async def together(self, tx: AsyncSession, *statements: Statement) -> Sequence[Any]:
        """The same within a transaction that is open already."""
        with _as_ours():
            return await (await self._wire_under(tx)).ask(*(_spelled(*each) for each in statements))

    async def system_at_once(self, *statements: Statement) -> Sequence[Any]:
        """What `system` does, in one round trip. For what may be lost to a power cut, since it can be found out again:
        nobody waits for the disk."""
        return await self._at_once(*SYSTEM, (NO_WAIT, {}), *statements)

    async def read_out(
        self, project_id: uuid.UUID, user_id: str | None, statement: Statement
    ) -> Sequence[Sequence[bytes | None]]:
        """One statement whose answer may be large, in one round trip, as Postgres writes it."""
        async with self._wire() as wire:
            return await wire.read_out(_spelled(*_enter(*member(project_id, user_id))), _spelled(*statement))

    async def _at_once(self, role: str, claims: Mapping[str, object], *statements: Statement) -> Sequence[Any]:
        async with self._wire() as wire:
            return await wire.ask(*(_spelled(*each) for each in (_enter(role, claims), *statements)))

    @asynccontextmanager
    async def system(self) -> AsyncIterator[AsyncSession]:
        """For work that belongs to no project: accounts, sign-up, sweeps. Sees ids and states, never what was said."""
        async with self._open(*SYSTEM) as tx:
            yield tx

    @asynccontextmanager
    async def _open(self, role: str, claims: Mapping[str, object]) -> AsyncIterator[AsyncSession]:
        async with self._sessions.begin() as tx:
            with _as_ours():
                await (await self._wire_under(tx)).ask((b"begin", ()), _spelled(*_enter(role, claims)))
            yield tx

    async def ask(self, sql: str, values: Mapping[str, object]) -> Any | None:
        """One statement in one round trip as the bare runtime role: for the `private` functions open to it."""
        async with self._wire() as wire:
            rows = await wire.ask(_spelled(_read(sql), values))
        return rows[0] if rows else None

    @asynccontextmanager
    async def _wire(self) -> AsyncIterator[Wire]:
        """To a connection of the pool. It does not go back with an answer still to come."""
        with _as_ours():
            lent = await greenlet_spawn(self._pool().connect)
        driver = _driver_behind(lent)
        try:
            with _as_ours():
                yield self._wire_of(driver)
        finally:
            if driver.closed or driver.info.transaction_status != TransactionStatus.IDLE:
                await greenlet_spawn(lent.invalidate)
            lent.close()

    async def _wire_under(self, tx: AsyncSession) -> Wire:
        connection = (await tx.connection()).sync_connection
        assert connection is not None
        return self._wire_of(_driver_behind(connection.connection))

    def _wire_of(self, driver: Driver) -> Wire:
        wire = self._wires.get(driver)
        if wire is None:
            wire = self._wires[driver] = Wire(driver, prepares=not self._pooled)
        return wire

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


def _enter(role: str, claims: Mapping[str, object]) -> Statement:
    return ENTER, entry(role, claims)


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


def _spelled(statement: ClauseElement, values: Mapping[str, object]) -> Asked:
    sql, named, constants = _compiled(statement)
    return sql, [values[name] if name in values else constants[name] for name in named]


@lru_cache(maxsize=256)
def _compiled(statement: ClauseElement) -> tuple[bytes, Sequence[str], Mapping[str, object]]:
    """As Postgres reads it, the names of its values in order, and those that are part of the statement itself."""
    compiled = statement.compile(dialect=POSTGRES)
    assert isinstance(compiled, SQLCompiler)
    return str(compiled).encode(), compiled.positiontup or (), compiled.params


@lru_cache(maxsize=256)
def _read(sql: str) -> ClauseElement:
    return text(sql)
