"""Work that has no effect but its transaction runs again after a deadlock, once."""

import uuid

import pytest
from psycopg.errors import DeadlockDetected
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from app.core.database.deadlock import repeat_after_deadlock
from tests.locks import LOCK, Key, run_into_deadlock


async def test_work_runs_again_after_a_deadlock(
    database: Database, admin_engine: AsyncEngine, project_id: uuid.UUID
) -> None:
    runs: list[str] = []

    @repeat_after_deadlock
    async def work(*keys: Key) -> str:
        runs.append("done")
        async with database.transaction(project_id) as tx:
            for key in keys:
                await tx.execute(LOCK, key)
        return "done"

    assert (await run_into_deadlock(admin_engine, work), runs) == ("done", ["done", "done"])


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
