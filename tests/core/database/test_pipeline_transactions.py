"""Database.pipeline: one round trip is one transaction, with row-level security like any other."""

import asyncio
import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from tests.locks import LOCK, run_into_deadlock

WHO = text(
    "select current_user as role, current_setting('request.jwt.claims')::jsonb -> 'keepsake' as claims,"
    " current_setting('statement_timeout') as timeout"
)
NOTE = text(
    "insert into events (project_id, event_type, status) values (:project_id, 'ADD', 'SUCCEEDED') returning project_id"
)
COUNT = text("select count(*) as events from events")
FAIL = text("select 1 / 0")


async def count(database: Database, project_id: uuid.UUID) -> int:
    (row,) = await database.pipeline(project_id, None, (COUNT, {}))
    return int(row.events)


async def test_pipeline_acts_for_one_project_and_user_with_a_timeout(database: Database, project_id: uuid.UUID) -> None:
    for _ in range(5):  # the driver prepares a statement that it meets again
        (row,) = await database.pipeline(project_id, "ann", (WHO, {}))
        assert row == ("authenticated", {"project_id": str(project_id), "user_id": "ann"}, "15s")


async def test_connection_is_returned_without_role_and_claims(database: Database, project_id: uuid.UUID) -> None:
    await database.pipeline(project_id, None, (WHO, {}))
    left = await database.call_private("select current_user, current_setting('request.jwt.claims', true)", {})
    assert tuple(left or ()) == ("keepsake_app", "")


async def test_pipeline_cannot_read_or_write_another_project(database: Database, project_id: uuid.UUID) -> None:
    await database.pipeline(project_id, None, (NOTE, {"project_id": project_id}))
    assert await count(database, project_id) == 1
    assert await count(database, uuid.uuid4()) == 0
    with pytest.raises(ProgrammingError, match="row-level security"):
        await database.pipeline(uuid.uuid4(), None, (NOTE, {"project_id": project_id}))


async def test_pipeline_is_committed_whole_or_not_at_all(database: Database, project_id: uuid.UUID) -> None:
    note = (NOTE, {"project_id": project_id})
    for statements in ([note, (FAIL, {})], [(FAIL, {}), note], [note, (FAIL, {}), note]):
        with pytest.raises(DBAPIError, match="division by zero"):
            await database.pipeline(project_id, None, *statements)
    assert await count(database, project_id) == 0
    assert [row.project_id for row in await database.pipeline(project_id, None, note, note)] == [project_id]
    assert await count(database, project_id) == 2


async def test_error_of_a_statement_does_not_contain_its_values(database: Database, project_id: uuid.UUID) -> None:
    secret = "a secret of a user"
    with pytest.raises(DBAPIError) as failure:
        await database.pipeline(project_id, None, (text("select cast(:words as text), 1 / 0"), {"words": secret}))
    assert secret not in str(failure.value)


async def test_cancelled_pipeline_returns_its_connection(database: Database, project_id: uuid.UUID) -> None:
    for _ in range(30):
        asking = asyncio.create_task(count(database, project_id))
        await asyncio.sleep(0.0005)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert await count(database, project_id) == 0
    assert database.pool_state()[1] == 0


async def test_pipeline_runs_again_after_a_deadlock(
    database: Database, admin_engine: AsyncEngine, project_id: uuid.UUID
) -> None:
    note = (NOTE, {"project_id": project_id})
    await run_into_deadlock(
        admin_engine,
        lambda one, gate, two: database.pipeline(project_id, None, (LOCK, one), note, (LOCK, gate), (LOCK, two)),
    )
    assert await count(database, project_id) == 1
