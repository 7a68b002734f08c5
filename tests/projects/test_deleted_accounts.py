"""Accounts that are deleted or banned in Supabase's dashboard, which tells this server nothing."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from app import commands
from app.core.database.database import Database
from app.projects.deleted_accounts import KEPT_DAYS, erase_deleted_accounts, list_deleted_accounts
from app.settings import Settings
from app.wiring import open_store
from tests.conftest import SignedUp, SignUp, open_client
from tests.members import add_member

DELETE_SQL = "delete from auth.users where id = :id"
SOFT_DELETE_SQL = "update auth.users set deleted_at = now(), email = id::text where id = :id"
BAN_SQL = "update auth.users set banned_until = now() + interval '100 years' where id = :id"
AGE_SQL = "update private.{} set found_at = found_at - make_interval(days => :days) where {} = :id"

Operate = Callable[..., Awaitable[list[Any]]]


@pytest.fixture
def operate(admin_engine: AsyncEngine) -> Operate:
    """Runs a statement as Supabase's dashboard or an operator does."""

    async def run(statement: str, **values: object) -> list[Any]:
        async with admin_engine.begin() as tx:
            result = await tx.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    return run


@pytest.fixture
async def ana(sign_up: SignUp) -> SignedUp:
    return await sign_up()


@pytest.fixture
async def owner(sign_up: SignUp) -> SignedUp:
    return await sign_up()


async def remember(client: httpx.AsyncClient, **headers: str) -> None:
    body = {"messages": "I live in Rome", "infer": False}
    assert (await client.post("/v3/memories/add/", json=body, headers=headers)).status_code == 200


async def count(owner: SignedUp, user_id: uuid.UUID) -> int:
    found = await owner.client.post("/v3/memories/", json={"filters": {"user_id": str(user_id)}})
    return int(found.json()["count"])


async def age(operate: Operate, account_id: uuid.UUID) -> None:
    await operate(AGE_SQL.format("deleted_accounts", "account_id"), id=account_id, days=KEPT_DAYS + 1)


async def organizations_of(operate: Operate, account: SignedUp) -> list[Any]:
    return await operate("select organization_id from projects where id = :id", id=account.project_id)


@pytest.mark.parametrize("statement", [DELETE_SQL, SOFT_DELETE_SQL, BAN_SQL], ids=["deleted", "softly", "banned"])
async def test_tokens_and_keys_of_an_account_end_with_it(
    statement: str, ana: SignedUp, operate: Operate, anonymous: httpx.AsyncClient
) -> None:
    created = await ana.client.post("/v1/api-keys", json={"name": "app", "scopes": ["memories:read"]})
    key = {"X-API-Key": created.json()["key"]}
    assert (await anonymous.get("/v1/memories/", params={"user_id": "a"}, headers=key)).status_code == 200
    await operate(statement, id=ana.account_id)
    refused = await anonymous.get("/v1/memories/", params={"user_id": "a"}, headers=key)
    assert (refused.status_code, "banned or deleted" in refused.json()["detail"]) == (401, True)
    assert (await ana.client.get("/v1/projects")).status_code == 401
    tokens = {"refresh_token": ana.tokens["refresh_token"]}
    assert (await anonymous.post("/v1/auth/refresh", json=tokens)).status_code in (401, 403)


@pytest.mark.parametrize("statement", [DELETE_SQL, SOFT_DELETE_SQL], ids=["deleted", "softly"])
async def test_data_of_a_deleted_account_is_erased_after_a_period(
    statement: str, ana: SignedUp, owner: SignedUp, operate: Operate, database: Database
) -> None:
    await add_member(owner.client, f"/v1/projects/{owner.project_id}/members", ana, "USER")
    await remember(ana.client)
    await remember(ana.client, **{"X-Project-Id": str(owner.project_id)})
    await operate(statement, id=ana.account_id)
    with capture_logs() as logs:
        await erase_deleted_accounts(database)
    [line] = [line for line in logs if line["event"] == "accounts.deleted"]
    assert line["accounts"] >= 1
    assert line["organizations"] >= 1
    assert await organizations_of(operate, ana), "it is kept for now"
    assert await count(owner, ana.account_id) == 1
    assert ana.account_id in [each.account_id for each in (await list_deleted_accounts(database)).accounts]

    await age(operate, ana.account_id)
    with capture_logs() as logs:
        await erase_deleted_accounts(database)
    assert {"event": "accounts.erased", "account_id": str(ana.account_id), "log_level": "info"} in logs
    assert ana.email not in str(logs)
    assert not await organizations_of(operate, ana)
    assert await count(owner, ana.account_id) == 0
    assert await operate("select 1 from project_members where account_id = :id", id=ana.account_id) == []
    assert ana.account_id not in [each.account_id for each in (await list_deleted_accounts(database)).accounts]
    assert (await owner.client.get("/v1/projects")).status_code == 200


async def test_account_that_is_banned_or_returns_is_not_erased(
    ana: SignedUp, owner: SignedUp, operate: Operate, database: Database
) -> None:
    await operate(BAN_SQL, id=ana.account_id)
    await operate(SOFT_DELETE_SQL, id=owner.account_id)
    await erase_deleted_accounts(database)
    await age(operate, owner.account_id)
    await operate("update auth.users set deleted_at = null where id = :id", id=owner.account_id)
    await erase_deleted_accounts(database)
    assert await organizations_of(operate, ana)
    assert await organizations_of(operate, owner)
    listed = await list_deleted_accounts(database)
    assert not {ana.account_id, owner.account_id} & {each.account_id for each in listed.accounts}


async def test_organization_with_other_members_goes_on_and_is_reported(
    ana: SignedUp, owner: SignedUp, operate: Operate, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    [(organization,)] = await organizations_of(operate, owner)
    await add_member(owner.client, f"/v1/organizations/{organization}/members", ana, "READER")
    await operate(DELETE_SQL, id=owner.account_id)
    await commands.list_deleted(settings)
    assert f"account {owner.account_id} in 1 organization: found " in capsys.readouterr().out
    await age(operate, owner.account_id)
    async with open_store(settings) as database:
        await erase_deleted_accounts(database)
    capsys.readouterr()
    here = {"X-Project-Id": str(owner.project_id)}
    assert (await ana.client.get("/v1/ping/", headers=here)).status_code == 200
    await commands.list_deleted(settings)
    listed = capsys.readouterr().out
    assert f"personal organization {organization} has no owner: found " in listed
    assert str(owner.account_id) not in listed


async def test_legal_hold_keeps_a_deleted_account(ana: SignedUp, operate: Operate, database: Database) -> None:
    values = {"project": ana.project_id, "user": "anna"}
    await operate("insert into legal_holds (project_id, user_id) values (:project, :user)", **values)
    await operate(DELETE_SQL, id=ana.account_id)
    await erase_deleted_accounts(database)
    await age(operate, ana.account_id)
    await erase_deleted_accounts(database)
    assert await organizations_of(operate, ana)
    await operate("delete from legal_holds where project_id = :project", project=ana.project_id)
    await erase_deleted_accounts(database)
    assert not await organizations_of(operate, ana)


async def test_organization_that_lost_its_members_earlier_is_erased_and_that_of_the_operator_is_not(
    ana: SignedUp, project_id: uuid.UUID, operate: Operate, database: Database
) -> None:
    """Before, the membership was deleted with the account. An organization of the command line never had a member."""
    [(organization,)] = await organizations_of(operate, ana)
    await operate("delete from organization_members where organization_id = :id", id=organization)
    await erase_deleted_accounts(database)
    await operate(AGE_SQL.format("ownerless_organizations", "organization_id"), id=organization, days=KEPT_DAYS + 1)
    await erase_deleted_accounts(database)
    assert not await organizations_of(operate, ana)
    assert await operate("select 1 from projects where id = :id", id=project_id)


async def test_metrics_count_deleted_accounts(ana: SignedUp, operate: Operate, database: Database, app: Any) -> None:
    await operate(DELETE_SQL, id=ana.account_id)
    await erase_deleted_accounts(database)
    async with open_client(app) as client:
        lines = (await client.get("/metrics")).text.splitlines()
    values = {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}
    assert values["keepsake_deleted_accounts"] >= 1
    assert values["keepsake_ownerless_organizations"] >= 1
