"""Wait, without a pause of a chosen length, until a statement waits for a lock."""

import asyncio
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.patience import PATIENCE_SECONDS

IS_BLOCKING_SQL = text("select exists (select from pg_stat_activity where :pid = any(pg_blocking_pids(pid)))")
IS_WAITING_SQL = text("select cardinality(pg_blocking_pids(:pid)) > 0")
SELECT_PID_SQL = text("select pg_backend_pid()")


async def pid_of(connection: AsyncConnection) -> int:
    return int((await connection.execute(SELECT_PID_SQL)).scalar_one())


async def wait_until_waiting(observer: AsyncConnection, pid: int, running: "asyncio.Future[Any]") -> None:
    """Until the connection with this process id waits for a lock, in a statement of `running`."""
    await _wait_until(observer, IS_WAITING_SQL, pid, running)


async def wait_until_blocked(observer: AsyncConnection, pid: int, running: "asyncio.Future[Any]") -> None:
    """Until a statement of `running` waits for a lock of the connection with this process id."""
    await _wait_until(observer, IS_BLOCKING_SQL, pid, running)


async def _wait_until(
    observer: AsyncConnection, condition: TextClause, pid: int, running: "asyncio.Future[Any]"
) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await observer.scalar(condition, {"pid": pid}):
            assert not running.done(), running
            await observer.rollback()
