"""Work that has no effect but its transaction runs again after a deadlock, once."""

import asyncio
import uuid

import pytest
from psycopg.errors import DeadlockDetected
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from app.core.database.deadlock import repeat_after_deadlock
from tests.locks import pid_of, wait_until_blocked, wait_until_waiting

LOCK = text("select pg_advisory_xact_lock(cast(:key as bigint))")


async def test_work_runs_again_after_a_deadlock(
    database: Database, admin_engine: AsyncEngine, project_id: uuid.UUID
) -> None:
    """A third lock holds the work back until the other connection waits for it: Postgres fails the last to wait."""
    one, two, third = ({"key": uuid.uuid4().int >> 66} for _ in range(3))
    runs: list[str] = []

    @repeat_after_deadlock
    async def work(name: str) -> str:
        runs.append(name)
        async with database.transaction(project_id) as tx:
            for key in (one, third, two):
                await tx.execute(LOCK, key)
        return name

    async with admin_engine.connect() as other, admin_engine.connect() as gate, admin_engine.connect() as observer:
        await other.execute(text("set local deadlock_timeout = '1min'"))
        await other.execute(LOCK, two)
        await gate.execute(LOCK, third)
        other_pid, gate_pid = await pid_of(other), await pid_of(gate)
        running = asyncio.ensure_future(work("done"))
        await wait_until_blocked(observer, gate_pid, running)
        waiting = asyncio.ensure_future(other.execute(LOCK, one))
        await wait_until_waiting(observer, other_pid, waiting)
        await gate.rollback()
        await waiting
        await other.rollback()
    assert (await running, runs) == ("done", ["done", "done"])


@pytest.mark.parametrize(("error", "tries"), [(DeadlockDetected(), 2), (RuntimeError(), 1)], ids=["deadlock", "other"])
async def test_work_is_repeated_once_and_only_after_a_deadlock(error: Exception, tries: int) -> None:
    runs: list[None] = []

    @repeat_after_deadlock
    async def fail() -> None:
        runs.append(None)
        raise DBAPIError.instance(None, None, error, Exception)

    with pytest.raises((DBAPIError, RuntimeError)):
        await fail()
    assert len(runs) == tries
