"""Legal holds: who is held, and who can see it."""

import uuid

import httpx

from app.core.database.database import Database
from app.retention.holds import held_users


async def test_hold_is_listed_and_can_be_lifted(client: httpx.AsyncClient) -> None:
    put = await client.put("/v1/admin/holds/ana", json={"reason": "Case 12"})
    assert (put.status_code, put.json()["reason"]) == (200, "Case 12")
    assert (await client.put("/v1/admin/holds/a%2Fb c")).json()["user_id"] == "a/b c"
    listed = (await client.get("/v1/admin/holds")).json()["results"]
    assert {hold["user_id"] for hold in listed} == {"ana", "a/b c"}
    assert (await client.delete("/v1/admin/holds/ana")).status_code == 200
    assert (await client.delete("/v1/admin/holds/ana")).status_code == 404
    assert [hold["user_id"] for hold in (await client.get("/v1/admin/holds")).json()["results"]] == ["a/b c"]


async def test_placing_a_hold_again_changes_its_reason(client: httpx.AsyncClient) -> None:
    first = (await client.put("/v1/admin/holds/ana", json={"reason": "One"})).json()
    second = (await client.put("/v1/admin/holds/ana", json={"reason": "Two"})).json()
    assert (second["reason"], second["created_at"]) == ("Two", first["created_at"])
    assert len((await client.get("/v1/admin/holds")).json()["results"]) == 1


async def test_held_users_are_those_of_the_transaction(
    client: httpx.AsyncClient, database: Database, project_id: uuid.UUID
) -> None:
    for user in ("ana", "bert"):
        await client.put(f"/v1/admin/holds/{user}")
    async with database.transaction(project_id) as tx:
        assert await held_users(tx) == {"ana", "bert"}
    async with database.transaction(project_id, "bert") as tx:
        assert await held_users(tx) == {"bert"}
    async with database.transaction(uuid.uuid4()) as tx:
        assert await held_users(tx) == set()
