"""Statements with a filter have a time limit of their own."""

import uuid

import pytest
from sqlalchemy import text

from app.core.database.database import Database
from app.core.errors import BadRequest
from app.memory.filters import filter_transaction, parse_filters

LIMIT = text("select current_setting('statement_timeout')")
SHORTEN = text("select set_config('statement_timeout', '20ms', true)")


async def test_filter_has_a_shorter_time_limit_than_other_statements(database: Database, project_id: uuid.UUID) -> None:
    async with filter_transaction(database, parse_filters({"user_id": "ann"}), project_id) as tx:
        assert await tx.scalar(LIMIT) == "5s"
    async with database.transaction(project_id) as tx:
        assert await tx.scalar(LIMIT) == "15s"


async def test_filter_that_takes_too_long_is_a_bad_request(database: Database, project_id: uuid.UUID) -> None:
    with pytest.raises(BadRequest, match="The filters took longer than 5 seconds") as refusal:
        await sleep_in_a_filter(database, project_id)
    assert refusal.value.reason == "filter_too_slow"


async def sleep_in_a_filter(database: Database, project_id: uuid.UUID) -> None:
    async with filter_transaction(database, None, project_id) as tx:
        await tx.execute(SHORTEN)
        await tx.execute(text("select pg_sleep(5)"))
