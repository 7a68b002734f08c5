import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.core.database import Database

COUNT = text("select count(*) from projects where id = :id")


async def test_a_project_sees_itself_and_no_other(database: Database, project_id: uuid.UUID) -> None:
    async with database.transaction(project_id) as tx:
        assert await tx.scalar(COUNT, {"id": project_id}) == 1
    async with database.transaction(uuid.uuid4()) as tx:
        assert await tx.scalar(COUNT, {"id": project_id}) == 0


async def test_forgetting_to_say_for_whom_fails_closed(database: Database, project_id: uuid.UUID) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        await database.ask("select count(*) from projects", {})


async def test_the_role_ends_with_the_transaction(database: Database, project_id: uuid.UUID) -> None:
    async with database.transaction(project_id) as tx:
        assert await tx.scalar(text("select current_user")) == "authenticated"
    row = await database.ask("select current_user, current_setting('request.jwt.claims', true)", {})
    assert row is not None
    assert row[0] == "keepsake_app"
    assert not row[1]
