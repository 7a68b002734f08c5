"""A key acts with the rights that its creator has now."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.identity.scopes import EVERYTHING
from tests.conftest import MakeKey, SignedUp, SignUp, open_client
from tests.members import add_member

KEYS = "/v1/api-keys"
BAN_SQL = text("update auth.users set banned_until = now() + make_interval(hours => :hours) where id = :account")
SOFT_DELETE_SQL = text("update auth.users set deleted_at = now() where id = :account")


@pytest_asyncio.fixture
async def owner(sign_up: SignUp) -> SignedUp:
    return await sign_up()


@pytest_asyncio.fixture
async def creator(sign_up: SignUp, owner: SignedUp) -> SignedUp:
    """A second owner of the owner's project."""
    second = await sign_up()
    await add_member(owner.client, members(owner), second, "OWNER")
    second.client.headers["X-Project-Id"] = str(owner.project_id)
    return second


@pytest_asyncio.fixture
async def key(app: FastAPI, creator: SignedUp) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an admin key that the second owner created."""
    async with open_client(app, (await create(creator.client))["key"]) as client:
        yield client


def members(owner: SignedUp) -> str:
    return f"/v1/projects/{owner.project_id}/members"


async def create(client: httpx.AsyncClient, **body: object) -> dict[str, Any]:
    answer = await client.post(KEYS, json={"name": "app", "scopes": sorted(EVERYTHING), **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def refusal(client: httpx.AsyncClient) -> str:
    answer = await client.get("/v1/projects")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), answer.text
    detail: str = answer.json()["detail"]
    return detail


async def run_as_operator(postgres: EmbeddedPostgres, statement: Any, **values: object) -> None:
    engine = create_async_engine(postgres.url("postgres"))
    async with engine.begin() as connection:
        await connection.execute(statement, values)
    await engine.dispose()


async def test_key_of_a_removed_owner_is_refused_until_the_owner_returns(
    owner: SignedUp, creator: SignedUp, key: httpx.AsyncClient
) -> None:
    assert (await key.get("/v1/projects")).status_code == 200
    assert (await owner.client.delete(f"{members(owner)}/{creator.account_id}")).status_code == 200
    assert "created" in await refusal(key)
    back = {"email": creator.email, "role": "OWNER"}
    assert (await key.post(members(owner), json=back)).status_code == 401
    await add_member(owner.client, members(owner), creator, "OWNER")
    assert (await key.get("/v1/projects")).status_code == 200


async def test_key_of_a_removed_organization_owner_is_refused(app: FastAPI, owner: SignedUp, sign_up: SignUp) -> None:
    [organization] = (await owner.client.get("/v1/organizations")).json()["results"]
    people, second = f"/v1/organizations/{organization['id']}/members", await sign_up()
    await add_member(owner.client, people, second, "OWNER")
    second.client.headers["X-Project-Id"] = str(owner.project_id)
    async with open_client(app, (await create(second.client))["key"]) as key:
        assert (await key.get("/v1/projects")).status_code == 200
        assert (await owner.client.delete(f"{people}/{second.account_id}")).status_code == 200
        assert "created" in await refusal(key)


async def test_key_of_a_deleted_account_is_refused_in_a_project_that_stays(
    owner: SignedUp, creator: SignedUp, key: httpx.AsyncClient
) -> None:
    creator.client.headers.pop("X-Project-Id")
    assert (await creator.client.delete("/v1/auth/me")).status_code == 200
    assert "created" in await refusal(key)
    [row] = (await owner.client.get(KEYS)).json()["results"]
    assert row["created_by"] == {"account_id": str(creator.account_id), "email": None}
    assert (await owner.client.delete(f"{KEYS}/{row['id']}")).status_code == 200


async def test_key_of_a_banned_account_is_refused_until_the_ban_ends(
    creator: SignedUp, key: httpx.AsyncClient, postgres: EmbeddedPostgres
) -> None:
    await run_as_operator(postgres, BAN_SQL, hours=1, account=creator.account_id)
    assert "created" in await refusal(key)
    await run_as_operator(postgres, BAN_SQL, hours=-1, account=creator.account_id)
    assert (await key.get("/v1/projects")).status_code == 200
    await run_as_operator(postgres, SOFT_DELETE_SQL, account=creator.account_id)
    assert "created" in await refusal(key)


@pytest.mark.parametrize("role", ["READER", "USER"])
async def test_key_loses_the_scopes_that_its_creator_loses(
    owner: SignedUp, creator: SignedUp, key: httpx.AsyncClient, role: str
) -> None:
    path = f"{members(owner)}/{creator.account_id}"
    assert (await owner.client.patch(path, json={"role": role})).status_code == 200
    if role == "USER":
        # End users act for themselves and a key acts for all users, so their keys do not work.
        assert "end user" in await refusal(key)
        return
    assert (await key.get(KEYS)).status_code == 200
    refused = await key.post(KEYS, json={"name": "x"})
    assert (refused.status_code, "keys:write" in refused.json()["detail"]) == (403, True)
    assert (await owner.client.patch(path, json={"role": "OWNER"})).status_code == 200
    assert (await key.post(KEYS, json={"name": "x"})).status_code == 201


async def test_key_made_by_a_key_has_the_same_creator(
    app: FastAPI, owner: SignedUp, creator: SignedUp, key: httpx.AsyncClient
) -> None:
    child = await create(key)
    assert child["created_by"] == {"account_id": str(creator.account_id), "email": creator.email}
    async with open_client(app, child["key"]) as second:
        assert (await second.get("/v1/projects")).status_code == 200
        assert (await owner.client.delete(f"{members(owner)}/{creator.account_id}")).status_code == 200
        assert "created" in await refusal(second)


async def test_rotated_key_belongs_to_the_account_that_saw_its_secret(
    app: FastAPI, owner: SignedUp, creator: SignedUp, make_key: MakeKey
) -> None:
    system = await make_key(project=owner.project_id)
    [row] = (await owner.client.get(KEYS)).json()["results"]
    assert row["created_by"] is None
    rotated = (await creator.client.post(f"{KEYS}/{row['id']}/rotate", json={"overlap_seconds": 3600})).json()
    assert rotated["created_by"]["account_id"] == str(creator.account_id)
    assert (await system.client.get("/v1/projects")).status_code == 200
    assert (await owner.client.delete(f"{members(owner)}/{creator.account_id}")).status_code == 200
    async with open_client(app, rotated["key"]) as client:
        assert "created" in await refusal(client)


async def test_key_without_a_creator_works_as_before(owner: SignedUp, make_key: MakeKey) -> None:
    system = (await make_key(project=owner.project_id)).client
    assert (await owner.client.get(KEYS)).json()["results"][0]["created_by"] is None
    assert (await create(system))["created_by"] is None
    assert (await system.get("/v1/projects")).status_code == 200


async def test_list_shows_the_address_only_to_callers_who_may_see_members(
    app: FastAPI, owner: SignedUp, creator: SignedUp
) -> None:
    made = await create(creator.client, scopes=["keys:read"])
    shown = {"account_id": str(creator.account_id), "email": creator.email}
    [row] = (await owner.client.get(KEYS)).json()["results"]
    assert row["created_by"] == (await owner.client.get(f"{KEYS}/{made['id']}")).json()["created_by"] == shown
    async with open_client(app, made["key"]) as blind:
        answer = await blind.get(f"{KEYS}/{made['id']}")
    assert answer.json()["created_by"] == {**shown, "email": None}


async def test_removal_acts_on_requests_that_run_at_the_same_time(
    owner: SignedUp, creator: SignedUp, key: httpx.AsyncClient
) -> None:
    """No key is cached, so another process learns of a removal with its next request."""
    assert {(await key.get("/v1/projects")).status_code for _ in range(3)} == {200}
    assert (await owner.client.delete(f"{members(owner)}/{creator.account_id}")).status_code == 200
    answers = await asyncio.gather(*(key.get("/v1/projects") for _ in range(5)))
    assert [answer.status_code for answer in answers] == [401] * 5


@pytest.mark.parametrize("role", ["OWNER", "READER"])
async def test_admin_key_invites_readers_but_no_owners(
    owner: SignedUp, key: httpx.AsyncClient, sign_up: SignUp, role: str
) -> None:
    person = await sign_up()
    answer = await key.post(members(owner), json={"email": person.email, "role": role})
    assert answer.status_code == (403 if role == "OWNER" else 202), answer.text
    if role == "OWNER":
        assert "owner" in answer.json()["detail"]


async def test_admin_key_cannot_promote_a_member_to_owner(
    owner: SignedUp, key: httpx.AsyncClient, sign_up: SignUp
) -> None:
    person = await sign_up()
    await add_member(key, members(owner), person)
    answer = await key.patch(f"{members(owner)}/{person.account_id}", json={"role": "OWNER"})
    assert answer.status_code == 403
    [organization] = (await owner.client.get("/v1/organizations")).json()["results"]
    mem0 = f"/api/v1/orgs/organizations/{organization['id']}/projects/{owner.project_id}/members/"
    refused = await key.put(mem0, json={"email": person.email, "role": "OWNER"})
    assert (refused.status_code, "owner" in refused.text) == (403, True)
