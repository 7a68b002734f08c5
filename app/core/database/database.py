"""Opens every transaction. No other module commits."""

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any, ClassVar, LiteralString, NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from psycopg.errors import DeadlockDetected
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Identifier
from sqlalchemy import ClauseElement, MetaData, TextClause, event, make_url, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, object_session
from sqlalchemy.pool import PoolProxiedConnection, QueuePool
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import DateTime
from sqlalchemy.util import greenlet_spawn

from app.core.database.actor import current_actor
from app.core.database.content import CIPHER, Content, ContentConnections
from app.core.database.fair_slots import FairSlots, SlotsBusyError
from app.core.database.pipeline import BoundStatement, PipelineConnection
from app.core.ports.content import ContentCipher, ContentKeys

RUNTIME_ROLE = "keepsake_app"
STATEMENT_TIMEOUT = "15s"
POOL_TIMEOUT_SECONDS = 10.0
# Supavisor may use another connection for each transaction, where statements prepared earlier do not exist.
TRANSACTION_POOLER_PORT = 6543
SEARCH_PATH = "public,jobs,extensions"
# Postgres caches plans until the table is analyzed: a plan made while the table was empty must use its indexes, too.
SET_SCOPE_SQL = text(
    "select set_config('role', :role, true), set_config('request.jwt.claims', :claims, true),"
    " set_config('statement_timeout', :timeout, true), set_config('enable_seqscan', 'off', true),"
    " set_config('jit', 'off', true)"
)
POSTGRES = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
# Indexes and the planner's statistics repeat values of the rows.
VACUUM_TABLE_SQL: LiteralString = "vacuum (analyze, index_cleanup on, truncate on) {}"
REWRITE_TABLE_SQL: LiteralString = "vacuum (full, analyze) {}"
DISABLE_SYNCHRONOUS_COMMIT_SQL = text("select set_config('synchronous_commit', 'off', true)")
Driver = psycopg.AsyncConnection[Any]
Statement = tuple[ClauseElement, Mapping[str, object]]
TextStatement = tuple[TextClause, Mapping[str, object]]
"""A statement written as SQL text."""


class TransactionScope(NamedTuple):
    """The role and the claims that a transaction sets, and the project whose share of the pool it uses."""

    role: str
    claims: Mapping[str, object]
    project_id: uuid.UUID | None = None
    timeout: str = STATEMENT_TIMEOUT


SYSTEM_SCOPE = TransactionScope("keepsake_system", {"role": "keepsake_system"})


class Model(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(schema="public")
    # Statements return server defaults: loading them later would need awaited I/O on attribute access.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012  # SQLAlchemy declares it as an instance variable
    type_annotation_map: ClassVar = {dt.datetime: DateTime(timezone=True)}


class ProjectModel(Model):
    """Base of every table whose rows belong to one project."""

    __abstract__ = True

    content_columns: ClassVar[tuple[str, ...]] = ()
    """The columns that hold text of users, which encrypted projects store sealed."""
    content_record: ClassVar[str] = "id"
    """The column with the id of the record that this text belongs to."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    project_id: Mapped[uuid.UUID]


@event.listens_for(ProjectModel, "before_insert", propagate=True)
@event.listens_for(ProjectModel, "before_update", propagate=True)
def _mark_content(_mapper: object, _connection: object, row: ProjectModel) -> None:
    session = object_session(row)
    if not row.content_columns or session is None or CIPHER not in session.info:
        return
    row.id = row.id or uuid.uuid4()
    for name in row.content_columns:
        value = row.__dict__.get(name)
        if isinstance(value, str):
            setattr(row, name, Content(value, row.project_id, getattr(row, row.content_record)))


class ConnectionsBusyError(PoolTimeoutError):
    def __init__(self, *, own_share: bool) -> None:
        super().__init__("no connection became free in time")
        self.own_share = own_share


class Database:
    """Postgres as the runtime role, which owns nothing and has no rights until a transaction sets its scope.

    The driver runs in autocommit mode: each transaction begins in the round trip that sets its scope. Frequent
    statements bypass SQLAlchemy, which takes three times as long. Projects share the connections of the pool fairly.
    """

    def __init__(self, url: str, *, pool_size: int = 10, pool_timeout: float = POOL_TIMEOUT_SECONDS) -> None:
        self.url = url
        self._shares = FairSlots(pool_size, wait_seconds=pool_timeout)
        self._costly = FairSlots(max(2, pool_size // 4), wait_seconds=pool_timeout)
        self._pooled = make_url(url).port == TRANSACTION_POOLER_PORT
        self._pipelines: WeakKeyDictionary[Driver, PipelineConnection] = WeakKeyDictionary()
        self._content: ContentConnections | None = None
        self.content_keys: ContentKeys | None = None
        self.engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout,
            pool_use_lifo=True,  # the connection used last has warm plans and catalog caches
            pool_reset_on_return=None,  # transactions always end before their connection is returned
            hide_parameters=True,
            connect_args={
                "autocommit": True,
                "prepare_threshold": None if self._pooled else 2,
                "options": f"-c role={RUNTIME_ROLE} -c search_path={SEARCH_PATH} -c timezone=UTC",
            },
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    def encrypt_content(self, cipher: ContentCipher, keys: ContentKeys) -> None:
        """Use a cipher for the content of encrypted projects, from the first connection on."""
        self.content_keys = keys
        self._content = connections = ContentConnections(cipher)
        event.listen(
            self.engine.sync_engine, "connect", lambda adapted, _record: connections.adapt(adapted.driver_connection)
        )

    async def cipher_of(self, project_id: uuid.UUID) -> ContentCipher | None:
        """None if the content of the project is not encrypted, so that statements can compare it."""
        await self._prepare_content(project_id)
        cipher = self._content.cipher if self._content else None
        return cipher if cipher and cipher.is_sealing(project_id) else None

    async def _prepare_content(self, project_id: uuid.UUID | None) -> None:
        if self._content and project_id is not None:
            await self._content.cipher.prepare(project_id)

    @asynccontextmanager
    async def transaction(
        self,
        project_id: uuid.UUID,
        user_id: str | None = None,
        account_id: uuid.UUID | None = None,
        *,
        statement_timeout: str = STATEMENT_TIMEOUT,
    ) -> AsyncIterator[AsyncSession]:
        """A short transaction in which only the rows of one project, or of one user in it, are visible."""
        async with self._open(project_scope(project_id, user_id, account_id, statement_timeout)) as tx:
            yield tx

    async def pipeline(self, project_id: uuid.UUID, user_id: str | None, *statements: Statement) -> Sequence[Any]:
        """Run independent statements in one transaction and one round trip, scoped as in `transaction`. Returns the
        rows of the last one as named tuples."""
        return await self._pipeline(project_scope(project_id, user_id), *statements)

    async def pipeline_in(self, tx: AsyncSession, *statements: Statement) -> Sequence[Any]:
        """The same inside an open transaction."""
        with _driver_errors_as_sqlalchemy():
            return await (await self._pipeline_of_transaction(tx)).execute(*(_bind(*each) for each in statements))

    async def system_pipeline(self, *statements: Statement) -> Sequence[Any]:
        """The same, scoped as in `system`."""
        return await self._pipeline(SYSTEM_SCOPE, *statements)

    async def system_pipeline_unsynced(self, *statements: Statement) -> Sequence[Any]:
        """The same, scoped as in `system` and without synchronous commit: only for data that can be rebuilt after a
        power failure."""
        return await self._pipeline(SYSTEM_SCOPE, (DISABLE_SYNCHRONOUS_COMMIT_SQL, {}), *statements)

    async def fetch_text(
        self, project_id: uuid.UUID, user_id: str | None, statement: Statement
    ) -> Sequence[Sequence[bytes | None]]:
        """Run one statement with a large result in one round trip. Values are in Postgres' text format."""
        scope = project_scope(project_id, user_id)
        async with self._checkout(project_id) as connection:
            return await connection.fetch_text(_bind(*_scope_statement(scope)), _bind(*statement))

    async def call_private(self, sql: str, values: Mapping[str, object]) -> Any | None:
        """Run one statement in one round trip without a scope, to call a `private` function that the runtime role may
        execute. Returns the first row."""
        async with self._checkout(None) as connection:
            rows = await connection.execute(_bind(_parse(sql), values))
        return rows[0] if rows else None

    async def _pipeline(self, scope: TransactionScope, *statements: Statement) -> Sequence[Any]:
        bound = [_bind(*each) for each in (_scope_statement(scope), *statements)]
        async with self._checkout(scope.project_id) as connection:
            try:
                return await connection.execute(*bound)
            except DeadlockDetected:
                # Postgres has undone all of it, and the other transaction goes on.
                return await connection.execute(*bound)

    def costly_turn(self, project_id: uuid.UUID) -> AbstractAsyncContextManager[None]:
        """Waits until the project may run another statement that occupies a processor of Postgres for long."""
        return _hold_slot(self._costly, project_id)

    @asynccontextmanager
    async def system(self) -> AsyncIterator[AsyncSession]:
        """For work outside of projects: accounts, sign-up, sweeps. Ids and states are visible, content is not."""
        async with self._open(SYSTEM_SCOPE) as tx:
            yield tx

    @asynccontextmanager
    async def _open(self, scope: TransactionScope) -> AsyncIterator[AsyncSession]:
        await self._prepare_content(scope.project_id)
        async with _hold_slot(self._shares, scope.project_id), self._sessions.begin() as tx:
            if self._content:
                tx.info[CIPHER] = self._content.cipher
            with _driver_errors_as_sqlalchemy():
                connection = await self._pipeline_of_transaction(tx)
                await connection.execute((b"begin", ()), _bind(*_scope_statement(scope)))
            yield tx

    @asynccontextmanager
    async def _checkout(self, project_id: uuid.UUID | None) -> AsyncIterator[PipelineConnection]:
        await self._prepare_content(project_id)
        async with _hold_slot(self._shares, project_id), self._borrow() as driver:
            yield self._pipeline_of_driver(driver)

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[Driver]:
        """Borrow a connection from the pool. It is discarded if it is returned with a result still pending."""
        with _driver_errors_as_sqlalchemy():
            pooled = await greenlet_spawn(self._pool().connect)
        driver = _driver_of(pooled)
        try:
            with _driver_errors_as_sqlalchemy():
                yield driver
        finally:
            if driver.closed or driver.info.transaction_status != TransactionStatus.IDLE:
                await greenlet_spawn(pooled.invalidate)
            pooled.close()

    async def _pipeline_of_transaction(self, tx: AsyncSession) -> PipelineConnection:
        connection = (await tx.connection()).sync_connection
        assert connection is not None
        return self._pipeline_of_driver(_driver_of(connection.connection))

    def _pipeline_of_driver(self, driver: Driver) -> PipelineConnection:
        pipeline = self._pipelines.get(driver)
        if pipeline is None:
            open_row = self._content.open_row if self._content else None
            pipeline = PipelineConnection(driver, prepares=not self._pooled, open_row=open_row)
            self._pipelines[driver] = pipeline
        return pipeline

    async def vacuum(self, tables: Sequence[str], *, rewrite: bool = False) -> None:
        """Let Postgres free deleted rows of these tables. It skips those that the role may not maintain.

        `rewrite` also overwrites them, and locks each table meanwhile."""
        command = REWRITE_TABLE_SQL if rewrite else VACUUM_TABLE_SQL
        for table in tables:
            async with _hold_slot(self._shares, None), self._borrow() as driver:
                await driver.execute(SQL(command).format(Identifier("public", table)))

    async def healthy(self) -> bool:
        try:
            return await self.call_private("select 1", {}) is not None
        except SQLAlchemyError:
            return False

    def pool_state(self) -> tuple[int, int]:
        """The size of the pool and the number of connections in use."""
        pool = self._pool()
        return pool.size(), pool.checkedout()

    def _pool(self) -> QueuePool:
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)
        return pool

    async def close(self) -> None:
        await self.engine.dispose()


def project_scope(
    project_id: uuid.UUID,
    user_id: str | None,
    account_id: uuid.UUID | None = None,
    timeout: str = STATEMENT_TIMEOUT,
) -> TransactionScope:
    """The scope of a transaction that acts for one project, or for one user in it."""
    claims = {
        "role": "authenticated",
        "sub": str(account_id) if account_id else None,
        "keepsake": {"project_id": str(project_id), "user_id": user_id},
    }
    return TransactionScope("authenticated", claims, project_id, timeout)


def _scope_statement(scope: TransactionScope) -> Statement:
    actor = current_actor.get()
    claims = {**scope.claims, "actor": actor} if actor else scope.claims
    return SET_SCOPE_SQL, {"role": scope.role, "claims": json.dumps(claims), "timeout": scope.timeout}


def _driver_of(pooled: PoolProxiedConnection) -> Driver:
    driver = pooled.driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    return driver


@asynccontextmanager
async def _hold_slot(slots: FairSlots, project_id: uuid.UUID | None) -> AsyncIterator[None]:
    try:
        await slots.acquire(project_id)
    except SlotsBusyError as error:
        raise ConnectionsBusyError(own_share=error.own_share) from None
    try:
        yield
    finally:
        slots.release(project_id)


@contextmanager
def _driver_errors_as_sqlalchemy() -> Iterator[None]:
    """Raise the driver's errors as SQLAlchemy's, so that callers handle one kind. Messages contain no values."""
    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError.instance("pipeline", None, error, psycopg.Error, hide_parameters=True) from error


def _bind(statement: ClauseElement, values: Mapping[str, object]) -> BoundStatement:
    sql, names, constants = _compile(statement)
    return sql, [values[name] if name in values else constants[name] for name in names]


@lru_cache(maxsize=256)
def _compile(statement: ClauseElement) -> tuple[bytes, Sequence[str], Mapping[str, object]]:
    """The SQL for Postgres, the names of its parameters in order, and the values that the statement itself contains."""
    compiled = statement.compile(dialect=POSTGRES)
    assert isinstance(compiled, SQLCompiler)
    return str(compiled).encode(), compiled.positiontup or (), compiled.params


@lru_cache(maxsize=256)
def _parse(sql: str) -> ClauseElement:
    return text(sql)
