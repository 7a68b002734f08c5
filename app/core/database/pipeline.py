"""Several statements and their answers in one round trip, in libpq's own terms.

Every request asks four times, and psycopg's cursors take three times as long. How a value is written, and an answer
read, is still psycopg's doing.
"""

import asyncio
import itertools
import selectors
from collections import namedtuple
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

Asked = tuple[bytes, Sequence[object]]
"""SQL with `$1`, `$2` and so on, and what they stand for."""
Prepared = tuple[bytes, tuple[int, ...]]
"""SQL and the types of its values: Postgres plans each pair by itself."""
Fresh = tuple[Prepared, bytes]
"""With the name it is given."""
Receive = Callable[[], Awaitable[list[PGresult]]]
MOST_PREPARED = 100
LARGE = 16_384
"""Bytes. Beside the work that so much makes, planning is little; and a plan that is kept may be from an empty table."""
TEXT, BINARY = 0, 1


class Wire:
    """One connection, which one caller has at a time. Whoever leaves in the middle closes it."""

    def __init__(self, driver: psycopg.AsyncConnection[Any], *, prepares: bool) -> None:
        self._connection = driver.pgconn
        self._values = Transformer.from_context(driver)
        self._names: dict[Prepared, bytes] = {}
        self._numbers = itertools.count()
        self._most_prepared = MOST_PREPARED if prepares else 0

    async def ask(self, *asked: Asked) -> list[Any]:
        """The rows of the last, as named tuples. Between two synchronisations Postgres takes what it is sent as one
        transaction."""
        result = await self._tell(asked, BINARY, self._receive)
        if not result.nfields:
            return []
        self._values.set_pgresult(result)
        columns = tuple([result.fname(column) or b"" for column in range(result.nfields)])
        return self._values.load_rows(0, result.ntuples, _row(columns))

    async def read_out(self, *asked: Asked) -> list[list[bytes | None]]:
        """The rows of the last, which may be large, as Postgres writes them. A thread reads them in one go: the event
        loop would be woken for every eight kilobytes."""
        result = await self._tell(asked, TEXT, self._receive_in_thread)
        return [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]

    async def _tell(self, asked: Sequence[Asked], form: int, receive: Receive) -> PGresult:
        alone = self._connection.transaction_status == TransactionStatus.IDLE
        try:
            return await self._converse(asked, form, receive)
        except InvalidSqlStatementName:
            # psycopg deallocates everything after a rollback. Of what was asked nothing has happened, so it can again.
            self._names.clear()
            if not alone:
                raise
            if self._connection.transaction_status != TransactionStatus.IDLE:
                await self._converse([(b"rollback", ())], BINARY, self._receive)
            return await self._converse(asked, form, receive)

    async def _converse(self, asked: Sequence[Asked], form: int, receive: Receive) -> PGresult:
        results = None
        try:
            self._connection.enter_pipeline_mode()
            fresh = [self._send(*each, form) for each in asked]
            self._connection.pipeline_sync()
            await self._flush()
            results = await receive()
        finally:
            if results is None:
                self._connection.finish()  # nobody knows what is still to come
        self._connection.exit_pipeline_mode()
        return self._last(results, fresh)

    def _send(self, sql: bytes, values: Sequence[object], form: int) -> Fresh | None:
        """What is prepared by this, and under which name, if anything is."""
        dumped = self._values.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types, forms = self._values.types or (), self._values.formats
        large = sum(map(len, filter(None, dumped))) >= LARGE
        name, fresh = (None, None) if large else self._prepare((sql, types))
        if name is None:
            self._connection.send_query_params(sql, dumped, types, forms, form)
        else:
            self._connection.send_query_prepared(name, dumped, forms, form)
        return fresh

    def _prepare(self, wanted: Prepared) -> tuple[bytes | None, Fresh | None]:
        known = self._names.get(wanted)
        if known or len(self._names) >= self._most_prepared:
            return known, None
        name = f"wire_{next(self._numbers)}".encode()
        self._connection.send_prepare(name, *wanted)
        return name, (wanted, name)

    def _last(self, results: Sequence[PGresult], fresh: Sequence[Fresh | None]) -> PGresult:
        """The answer to what was asked last. What was prepared on the way stays so, whatever failed after it."""
        left = iter(results)
        for each in fresh:
            if each is not None and next(left).status == ExecStatus.COMMAND_OK:
                self._names[each[0]] = each[1]
            next(left)
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise error_from_result(result)
        return results[-1]

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._connection.flush():
            await _once(self._connection.socket, loop.add_writer, loop.remove_writer)

    async def _receive(self) -> list[PGresult]:
        loop = asyncio.get_running_loop()
        results: list[PGresult] = []
        for _ in _received(self._connection, results):
            await _once(self._connection.socket, loop.add_reader, loop.remove_reader)
        return results

    async def _receive_in_thread(self) -> list[PGresult]:
        reading = asyncio.get_running_loop().run_in_executor(None, _read_to_end, self._connection)
        try:
            return await asyncio.shield(reading)
        finally:
            # Whoever stops waiting does not take the connection from under the thread.
            await asyncio.wait([reading])


def _received(connection: PGconn, results: list[PGresult]) -> Iterator[None]:
    """Everything up to the synchronisation; a pause whenever there is nothing to read yet."""
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
        for _ in _received(connection, results):
            selector.select()
    return results


async def _once(socket: int, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
    """Until it can be read from, or written to."""
    waiting = asyncio.get_running_loop().create_future()

    def wake() -> None:
        remove(socket)
        if not waiting.done():
            waiting.set_result(None)

    add(socket, wake)
    try:
        await waiting
    finally:
        remove(socket)


@lru_cache(maxsize=512)
def _row(columns: tuple[bytes, ...]) -> Callable[[Sequence[Any]], Any]:
    named: Any = namedtuple("Row", [name.decode() for name in columns], rename=True)  # type: ignore[misc]  # only known here
    make: Callable[[Sequence[Any]], Any] = named._make
    return make
