"""The data of a deleted account in projects of other owners."""

import uuid
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.core.resources import Resources
from app.projects.provisioning import erase_account_data
from tests.conftest import SignUp
from tests.members import add_member
from tests.rows import TABLES_OF_A_PROJECT, Corner, fill_in, make_project

SELECT_TABLES_WITH_USERS_SQL = text(
    "select table_name from information_schema.columns"
    " where table_schema = 'public' and column_name = 'user_id' and table_name <> 'legal_holds' order by table_name"
)


async def rows_of(tx: AsyncSession, table: str, project_id: uuid.UUID, user_id: str) -> int:
    query = text(f"select count(*) from public.{table} where project_id = :project and user_id = :user")
    return int(await tx.scalar(query, {"project": project_id, "user": user_id}) or 0)


async def test_account_erasure_removes_all_rows_of_an_end_user_in_other_projects(
    resources: Resources, admin_engine: AsyncEngine
) -> None:
    leaving = Corner(uuid.uuid4(), "")
    async with AsyncSession(admin_engine) as tx, tx.begin():
        project, _ = await make_project(tx)
        elsewhere, _ = await make_project(tx)
        account = uuid.uuid4()
        leaving = Corner(project, str(account), account_id=account)
        await fill_in(tx, leaving)
        await fill_in(tx, Corner(project, "anna"))
        # A project without the account, whose application uses the same user id.
        await fill_in(tx, Corner(elsewhere, str(account)))
    await erase_account_data(resources.database, account)
    async with AsyncSession(admin_engine) as tx:
        tables = list(await tx.scalars(SELECT_TABLES_WITH_USERS_SQL))
        assert set(tables) <= set(await tx.scalars(TABLES_OF_A_PROJECT))
        assert len(tables) > 8
        for table in tables:
            assert await rows_of(tx, table, project, str(account)) == 0, table
            assert await rows_of(tx, table, project, "anna") == 1, table
            assert await rows_of(tx, table, elsewhere, str(account)) == 1, table
        gone = text("select count(*) from public.vector_removals where memory_id = :id")
        assert await tx.scalar(gone, {"id": leaving.memory_id}) == 1


async def test_account_deletion_removes_its_memories_in_another_project(sign_up: SignUp) -> None:
    owner, member_account = await sign_up(), await sign_up()
    await add_member(owner.client, f"/v1/projects/{owner.project_id}/members", member_account, "USER")
    there = {"X-Project-Id": str(owner.project_id)}
    message = {"messages": "I live in Rome", "infer": False}
    assert (await member_account.client.post("/v3/memories/add/", json=message, headers=there)).status_code == 200
    theirs: dict[str, Any] = {"filters": {"user_id": str(member_account.account_id)}}
    assert (await owner.client.post("/v3/memories/", json=theirs)).json()["count"] == 1
    assert (await member_account.client.delete("/v1/auth/me")).status_code == 200
    assert (await owner.client.post("/v3/memories/", json=theirs)).json()["count"] == 0
    assert (await owner.client.get(f"/v2/entities/user/{member_account.account_id}/")).status_code == 404
