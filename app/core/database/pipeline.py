"""Several statements and their results in one round trip, through libpq's pipeline mode.

Every request sends about four statements, and psycopg's cursors take three times as long. psycopg still converts
parameters and result rows.
"""

import asyncio
import itertools
import selectors
from collections import namedtuple
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

BoundStatement = tuple[bytes, Sequence[object]]
"""SQL with the placeholders `$1`, `$2` and so on, and their values."""
StatementKey = tuple[bytes, tuple[int, ...]]
"""SQL and the types of its parameters. Postgres plans each combination separately."""
OpenRow = Callable[[Sequence[Any]], Sequence[Any]]
ReceiveResults = Callable[[], Awaitable[list[PGresult]]]
MAX_PREPARED = 100
MAX_PREPARED_BYTES = 16_384
"""Statements with more parameter data are not prepared: the cost of planning is negligible for them, and a cached plan
may have been made while the table was empty."""
TEXT, BINARY = 0, 1


class NewlyPrepared(NamedTuple):
    key: StatementKey
    name: bytes


class PipelineConnection:
    """Sends pipelines over one connection, for one caller at a time. A caller that is cancelled in the middle closes
    the connection."""

    def __init__(
        self, driver: psycopg.AsyncConnection[Any], *, prepares: bool, open_row: OpenRow | None = None
    ) -> None:
        """`open_row` decrypts what a row contains."""
        self._open_row = open_row
        self._connection = driver.pgconn
        self._converter = Transformer.from_context(driver)
        self._names: dict[StatementKey, bytes] = {}
        self._numbers = itertools.count()
        self._max_prepared = MAX_PREPARED if prepares else 0

    async def execute(self, *statements: BoundStatement) -> list[Any]:
        """Run the statements and return the rows of the last one as named tuples. Postgres runs everything between two
        synchronisation points in one transaction."""
        result = await self._run(statements, BINARY, self._receive)
        if not result.nfields:
            return []
        self._converter.set_pgresult(result)
        columns = tuple([result.fname(column) or b"" for column in range(result.nfields)])
        make, open_row = _row_factory(columns), self._open_row
        if open_row is not None:
            return self._converter.load_rows(0, result.ntuples, lambda values: make(open_row(values)))
        return self._converter.load_rows(0, result.ntuples, make)

    async def fetch_text(self, *statements: BoundStatement) -> list[list[bytes | None]]:
        """Run the statements and return the rows of the last one in Postgres' text format.

        For large results: a thread reads them, because the event loop would be woken for every eight kilobytes."""
        result = await self._run(statements, TEXT, self._receive_in_thread)
        return [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]

    async def _run(self, statements: Sequence[BoundStatement], form: int, receive: ReceiveResults) -> PGresult:
        outside_transaction = self._connection.transaction_status == TransactionStatus.IDLE
        try:
            return await self._run_once(statements, form, receive)
        except InvalidSqlStatementName:
            # psycopg deallocates all prepared statements after a rollback. Nothing was executed, so try again.
            self._names.clear()
            if not outside_transaction:
                raise
            if self._connection.transaction_status != TransactionStatus.IDLE:
                await self._run_once([(b"rollback", ())], BINARY, self._receive)
            return await self._run_once(statements, form, receive)

    async def _run_once(self, statements: Sequence[BoundStatement], form: int, receive: ReceiveResults) -> PGresult:
        results = None
        try:
            self._connection.enter_pipeline_mode()
            prepared = [self._send(*statement, form) for statement in statements]
            self._connection.pipeline_sync()
            await self._flush()
            results = await receive()
        finally:
            if results is None:
                self._connection.finish()  # results may still be on the way, so the connection cannot be used again
        self._connection.exit_pipeline_mode()
        self._remember_prepared(prepared, results)
        return _last_result(results)

    def _send(self, sql: bytes, values: Sequence[object], form: int) -> NewlyPrepared | None:
        """Send one statement. Returns how it was prepared if this is the first time."""
        dumped = self._converter.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types, forms = self._converter.types or (), self._converter.formats
        large = sum(map(len, filter(None, dumped))) >= MAX_PREPARED_BYTES
        name, new = (None, None) if large else self._prepare((sql, types))
        if name is None:
            self._connection.send_query_params(sql, dumped, types, forms, form)
        else:
            self._connection.send_query_prepared(name, dumped, forms, form)
        return new

    def _prepare(self, key: StatementKey) -> tuple[bytes | None, NewlyPrepared | None]:
        known = self._names.get(key)
        if known or len(self._names) >= self._max_prepared:
            return known, None
        name = f"pipeline_{next(self._numbers)}".encode()
        self._connection.send_prepare(name, *key)
        return name, NewlyPrepared(key, name)

    def _remember_prepared(self, prepared: Sequence[NewlyPrepared | None], results: Sequence[PGresult]) -> None:
        """Results arrive in the order of sending: for each statement that of its preparation, if it was prepared, then
        its own. A statement stays prepared even if a later one of the pipeline fails."""
        position = 0
        for new in prepared:
            if new is not None:
                if results[position].status == ExecStatus.COMMAND_OK:
                    self._names[new.key] = new.name
                position += 1
            position += 1

    async def _flush(self) -> None:
        """Results are read meanwhile. Otherwise Postgres could wait until a large result of an early statement is read,
        while this waits until Postgres reads the next statement."""
        while self._connection.flush():
            if await _wait_until_readable_or_writable(self._connection.socket):
                self._connection.consume_input()

    async def _receive(self) -> list[PGresult]:
        results: list[PGresult] = []
        for _ in _append_results(self._connection, results):
            await _wait_until_readable(self._connection.socket)
        return results

    async def _receive_in_thread(self) -> list[PGresult]:
        reading = asyncio.get_running_loop().run_in_executor(None, _read_to_end, self._connection)
        try:
            return await asyncio.shield(reading)
        finally:
            # When the caller is cancelled, the thread must finish before the connection is closed.
            await asyncio.wait([reading])


def _last_result(results: Sequence[PGresult]) -> PGresult:
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result)
    return results[-1]


def _append_results(connection: PGconn, results: list[PGresult]) -> Iterator[None]:
    """Append every result up to the synchronisation point. Yields whenever there is nothing to read yet."""
    while True:
        while connection.is_busy():
            yield
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            if connection.status == ConnStatus.BAD:
                raise psycopg.OperationalError("the connection is lost")
        elif result.status == ExecStatus.PIPELINE_SYNC:
            return
        else:
            results.append(result)


def _read_to_end(connection: PGconn) -> list[PGresult]:
    results: list[PGresult] = []
    with selectors.DefaultSelector() as selector:
        selector.register(connection.socket, selectors.EVENT_READ)
        for _ in _append_results(connection, results):
            selector.select()
    return results


async def _wait_until_readable(socket: int) -> None:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[bool] = loop.create_future()
    loop.add_reader(socket, _set_once, readable, True)
    try:
        await readable
    finally:
        loop.remove_reader(socket)


async def _wait_until_readable_or_writable(socket: int) -> bool:
    """Returns whether it is readable."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[bool] = loop.create_future()
    loop.add_reader(socket, _set_once, readable, True)
    loop.add_writer(socket, _set_once, readable, False)
    try:
        return await readable
    finally:
        loop.remove_reader(socket)
        loop.remove_writer(socket)


def _set_once(future: "asyncio.Future[bool]", result: bool) -> None:
    """The event loop may call again before the waiting task has removed the callback."""
    if not future.done():
        future.set_result(result)


@lru_cache(maxsize=512)
def _row_factory(columns: tuple[bytes, ...]) -> Callable[[Sequence[Any]], Any]:
    named: Any = namedtuple("Row", [name.decode() for name in columns], rename=True)  # type: ignore[misc]  # only known here
    make: Callable[[Sequence[Any]], Any] = named._make
    return make
