"""What counts towards the operator's budgets, as the functions of the database count it."""

import uuid

import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.core.database.database import Database
from tests.rows import insert_row, make_account, make_project

OWN_TOKENS = text("select private.account_tokens()")


async def use_tokens(tx: AsyncSession, project_id: uuid.UUID, tokens: int, *, months_ago: int = 0) -> None:
    await tx.execute(
        text(
            "insert into public.token_usage (project_id, month, prompt_tokens) values (:project,"
            " (date_trunc('month', now()) - make_interval(months => :months))::date, :tokens)"
        ),
        {"project": project_id, "months": months_ago, "tokens": tokens},
    )


async def join(tx: AsyncSession, organization: uuid.UUID, account: uuid.UUID, role: str = "OWNER") -> None:
    row = {"organization_id": organization, "account_id": account, "role": role, "joined": "accepted"}
    await insert_row(tx, "organization_members", row)


@pytest_asyncio.fixture
async def owner_account(admin_engine: AsyncEngine) -> uuid.UUID:
    account = uuid.uuid4()
    async with AsyncSession(admin_engine) as tx, tx.begin():
        await make_account(tx, account)
    return account


async def test_only_tokens_of_this_month_count(
    admin_engine: AsyncEngine, database: Database, owner_account: uuid.UUID
) -> None:
    async with AsyncSession(admin_engine) as tx, tx.begin():
        project, organization = await make_project(tx)
        await join(tx, organization, owner_account)
        await use_tokens(tx, project, 5)
        await use_tokens(tx, project, 1000, months_ago=1)
    async with database.transaction(project) as tx:
        assert await tx.scalar(OWN_TOKENS) == 5


async def test_projects_of_a_member_who_is_no_owner_do_not_count(
    admin_engine: AsyncEngine, database: Database, owner_account: uuid.UUID
) -> None:
    async with AsyncSession(admin_engine) as tx, tx.begin():
        own, own_organization = await make_project(tx)
        other, other_organization = await make_project(tx)
        await join(tx, own_organization, owner_account)
        await join(tx, other_organization, owner_account, "READER")
        await use_tokens(tx, own, 5)
        await use_tokens(tx, other, 1000)
    async with database.transaction(own) as tx:
        assert await tx.scalar(OWN_TOKENS) == 5


async def test_project_goes_on_while_one_of_its_owners_has_tokens_left(
    admin_engine: AsyncEngine, database: Database, owner_account: uuid.UUID
) -> None:
    bob = uuid.uuid4()
    async with AsyncSession(admin_engine) as tx, tx.begin():
        await make_account(tx, bob)
        shared, organization = await make_project(tx)
        alone, alone_organization = await make_project(tx)
        for account in (owner_account, bob):
            await join(tx, organization, account)
        await join(tx, alone_organization, owner_account)
        await use_tokens(tx, shared, 5)
        await use_tokens(tx, alone, 1000)
    async with database.transaction(shared) as tx:
        assert await tx.scalar(OWN_TOKENS) == 5
    async with database.transaction(alone) as tx:
        assert await tx.scalar(OWN_TOKENS) == 1005
