"""How important a message is: the caller's own value, otherwise its role and its age."""

import datetime as dt
import uuid

import pytest
from sqlalchemy import select

from app.core.errors import BadRequest
from app.core.ports import Role
from app.core.resources import Resources
from app.memory.edit import Owner
from app.memory.importance import check_importance, importance_in, importance_of, importance_sql, recency_of
from app.memory.ledger import Memory
from app.memory.messages import MessageDraft, store_messages

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
HALF_LIFE = 30.0
CASES = [
    # role, age in days, own value, importance
    ("user", 0, None, 0.5),
    ("assistant", 0, None, 0.4),
    ("system", 0, None, 0.3),
    ("user", 30, None, 0.375),
    ("assistant", 30, None, 0.3),
    ("user", 60, None, 0.3125),
    ("user", 36_500, None, 0.25),
    ("user", -1, None, 0.5),
    ("user", 0, 0.9, 0.9),
    ("user", 60, 0.9, 0.9),
    ("system", 36_500, 1.0, 1.0),
    ("user", 0, 0.0, 0.0),
]


@pytest.mark.parametrize(("role", "days", "own", "expected"), CASES)
def test_importance_follows_from_role_age_and_own_value(
    role: str, days: int, own: float | None, expected: float
) -> None:
    recency = recency_of(NOW - dt.timedelta(days=days), NOW, HALF_LIFE)
    assert importance_of(role, recency, own) == pytest.approx(expected)


async def test_postgres_computes_the_same_importance(resources: Resources, project_id: uuid.UUID) -> None:
    drafts = [
        MessageDraft("c", Role(role), "x", importance=own, created_at=NOW - dt.timedelta(days=days))
        for role, days, own, _ in CASES
    ]
    await store_messages(resources, Owner(project_id), drafts)
    query = select(Memory.id, importance_sql(NOW, HALF_LIFE).label("importance")).where(Memory.project_id == project_id)
    async with resources.database.transaction(project_id) as tx:
        found = {row.id: row.importance for row in await tx.execute(query)}
    assert [found[each.id] for each in drafts] == pytest.approx([case[-1] for case in CASES])


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        ({"importance": None}, None),
        ({"importance": 0}, 0.0),
        ({"importance": 1}, 1.0),
        ({"importance": 1e-300}, 0.0),
    ],
)
def test_importance_is_read_from_metadata(metadata: dict[str, object], expected: float | None) -> None:
    check_importance(metadata)
    assert importance_in(metadata) == expected


@pytest.mark.parametrize("value", ["high", 1.5, -0.1, True, [1], float("nan")])
def test_importance_in_metadata_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(BadRequest, match=r"`metadata\.importance` must be a number from 0 to 1"):
        check_importance({"importance": value})
    assert importance_in({"importance": value}) is None
