"""Wait, without a pause of a chosen length, until a statement waits for a lock."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

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


T = TypeVar("T")
Key = dict[str, int]
LOCK = text("select pg_advisory_xact_lock(cast(:key as bigint))")


async def run_into_deadlock(admin_engine: AsyncEngine, work: Callable[[Key, Key, Key], Coroutine[Any, Any, T]]) -> T:
    """The work takes the locks of its keys in order. The second lock holds it back until the other connection waits for
    it: Postgres fails the last to wait."""
    one, gate_key, two = ({"key": uuid.uuid4().int >> 66} for _ in range(3))
    async with admin_engine.connect() as other, admin_engine.connect() as gate, admin_engine.connect() as observer:
        await other.execute(text("set local deadlock_timeout = '1min'"))
        await other.execute(LOCK, two)
        await gate.execute(LOCK, gate_key)
        other_pid, gate_pid = await pid_of(other), await pid_of(gate)
        running = asyncio.ensure_future(work(one, gate_key, two))
        await wait_until_blocked(observer, gate_pid, running)
        waiting = asyncio.ensure_future(other.execute(LOCK, one))
        await wait_until_waiting(observer, other_pid, waiting)
        await gate.rollback()
        await waiting
        await other.rollback()
    return await running
