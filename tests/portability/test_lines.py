import re
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.portability.lines import FeedbackLine, HistoryLine, MessageLine, SessionLine


@pytest.mark.parametrize(
    ("line", "field", "table"),
    [
        (HistoryLine, "event", "memory_history"),
        (FeedbackLine, "feedback", "feedback"),
        (MessageLine, "role", "messages"),
        (SessionLine, "privacy_mode", "sessions"),
    ],
)
async def test_line_accepts_every_word_that_its_column_can_have(
    line: type[BaseModel], field: str, table: str, admin_engine: AsyncEngine
) -> None:
    query = text(
        "select pg_get_constraintdef(oid) from pg_constraint"
        " where conrelid = cast(:table as regclass) and contype = 'c' and pg_get_constraintdef(oid) like :column"
    )
    async with admin_engine.connect() as connection:
        constraint = await connection.scalar(query, {"table": f"public.{table}", "column": f"CHECK (({field} = ANY%"})
    annotation: Any = line.model_fields[field].annotation
    accepted = set(get_args(annotation)) or {each.value for each in annotation}
    assert accepted == set(re.findall(r"'(\w+)'::text", str(constraint)))
