import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import text

from app.api_keys.lookup import StoredKeys
from app.core.database.database import Database
from app.core.resources import Resources
from app.identity.scopes import DEFAULT_FOR_KEYS, EVERYTHING
from tests.conftest import MakeKey, SignUp, open_client
from tests.patience import PATIENCE_SECONDS

KEYS = "/v1/api-keys"
SELECT_SECRETS_SQL = text("select secret_hash, previous_hash, name from api_keys where id = :id")
SELECT_LAST_USED_SQL = text("select last_used_at from api_keys where id = :id")


async def create(client: httpx.AsyncClient, **body: object) -> dict[str, Any]:
    answer = await client.post(KEYS, json={"name": "app", **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def works(app: FastAPI, key: str) -> bool:
    async with open_client(app, key) as client:
        answer = await client.get("/v1/projects")
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


async def test_key_is_shown_once_and_works_in_every_header(app: FastAPI, client: httpx.AsyncClient) -> None:
    made = await create(client)
    key = made["key"]
    assert key.startswith(made["prefix"] + "_")
    assert set(made["scopes"]) == DEFAULT_FOR_KEYS
    assert {"keys:write", "admin"} & set(made["scopes"]) == set()
    for headers in ({"Authorization": f"Bearer {key}"}, {"Authorization": f"Token {key}"}, {"X-API-Key": key}):
        async with open_client(app) as plain:
            assert (await plain.get("/v1/projects", headers=headers)).status_code == 200

    shown = [await client.get(KEYS), await client.get(f"{KEYS}/{made['id']}")]
    shown.append(await client.patch(f"{KEYS}/{made['id']}", json={"name": "renamed"}))
    assert shown[2].json()["name"] == "renamed"
    secret = key.removeprefix(made["prefix"])
    assert [answer.status_code for answer in shown] == [200, 200, 200]
    assert not [answer for answer in shown if secret in answer.text or "hash" in answer.text]


async def test_key_is_stored_as_a_hash_only(client: httpx.AsyncClient, database: Database, make_key: MakeKey) -> None:
    holder = await make_key()
    made = await create(holder.client)
    async with database.transaction(holder.project_id) as tx:
        row = (await tx.execute(SELECT_SECRETS_SQL, {"id": made["id"]})).one()
    assert made["key"].encode() not in bytes(row.secret_hash)
    assert len(row.secret_hash) == 32


async def test_caller_cannot_grant_scopes_it_lacks(make_key: MakeKey) -> None:
    weak = (await make_key("keys:write", "keys:read", "memories:read")).client
    strong = await create((await make_key()).client, scopes=sorted(EVERYTHING))

    assert set((await create(weak))["scopes"]) == {"memories:read"}
    refused = [
        await weak.post(KEYS, json={"name": "x", "scopes": ["memories:write"]}),
        await weak.patch(f"{KEYS}/{strong['id']}", json={"scopes": ["admin"]}),
        await weak.post(f"{KEYS}/{strong['id']}/rotate"),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert "memories:write" in refused[0].json()["detail"]
    assert [answer.text for answer in refused if "ks_" in answer.text] == []


async def test_key_without_any_scope_is_refused(make_key: MakeKey) -> None:
    refused = await (await make_key("keys:write")).client.post(KEYS, json={"name": "x"})
    assert (refused.status_code, "`scopes`" in refused.json()["detail"]) == (403, True)


async def test_scope_change_acts_on_the_next_request(app: FastAPI, client: httpx.AsyncClient) -> None:
    made = await create(client, scopes=["projects:read", "profiles:read"])
    assert await works(app, made["key"])
    assert (await client.patch(f"{KEYS}/{made['id']}", json={"scopes": ["profiles:read"]})).status_code == 200
    async with open_client(app, made["key"]) as narrowed:
        assert (await narrowed.get("/v1/projects")).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["everything"]}, "scopes"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "2120-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
    ],
)
async def test_invalid_key_attributes_are_refused(
    client: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await client.post(KEYS, json=body)
    assert answer.status_code == 422
    assert field in answer.json()["detail"]


async def test_key_expires(app: FastAPI, client: httpx.AsyncClient, make_key: MakeKey) -> None:
    now = dt.datetime.now(dt.UTC)
    assert not await works(app, (await make_key(expires_at=now - dt.timedelta(seconds=1))).key)
    assert await works(app, (await make_key(expires_at=now + dt.timedelta(minutes=1))).key)
    # A time zone offset that Postgres does not accept.
    far = await create(client, expires_at="2120-01-01T00:00:00+23:30")
    assert dt.datetime.fromisoformat(far["expires_at"]) == dt.datetime.fromisoformat("2120-01-01T00:00:00+23:30")


async def test_rotation_keeps_the_old_secret_for_the_overlap(
    app: FastAPI, make_key: MakeKey, database: Database
) -> None:
    holder = await make_key()
    first = await create(holder.client)
    second = (await holder.client.post(f"{KEYS}/{first['id']}/rotate", json={"overlap_seconds": 3600})).json()
    assert second["prefix"] == first["prefix"]
    assert second["key"] != first["key"]
    assert [await works(app, first["key"]), await works(app, second["key"])] == [True, True]

    async with database.transaction(holder.project_id) as tx:
        await tx.execute(text("update api_keys set previous_until = now() where id = :id"), {"id": first["id"]})
    assert [await works(app, first["key"]), await works(app, second["key"])] == [False, True]

    third = (await holder.client.post(f"{KEYS}/{first['id']}/rotate", json={"overlap_seconds": 0})).json()
    assert [await works(app, second["key"]), await works(app, third["key"])] == [False, True]


async def test_expired_key_cannot_be_rotated(make_key: MakeKey, database: Database) -> None:
    holder = await make_key()
    made = await create(holder.client)
    async with database.transaction(holder.project_id) as tx:
        await tx.execute(text("update api_keys set expires_at = now() where id = :id"), {"id": made["id"]})
    answer = await holder.client.post(f"{KEYS}/{made['id']}/rotate")
    assert answer.status_code == 404
    assert "expired" in answer.json()["detail"]


async def test_revocation_is_immediate_and_permanent(app: FastAPI, client: httpx.AsyncClient) -> None:
    made = await create(client)
    assert await works(app, made["key"])
    rotated = (await client.post(f"{KEYS}/{made['id']}/rotate")).json()
    assert (await client.delete(f"{KEYS}/{made['id']}")).status_code == 200
    assert [await works(app, made["key"]), await works(app, rotated["key"])] == [False, False]
    assert made["id"] not in {row["id"] for row in (await client.get(KEYS)).json()["results"]}
    for answer in (
        await client.delete(f"{KEYS}/{made['id']}"),
        await client.patch(f"{KEYS}/{made['id']}", json={"name": "again"}),
        await client.post(f"{KEYS}/{made['id']}/rotate"),
    ):
        assert answer.status_code == 404


@pytest.mark.parametrize("header", [{"X-API-Key": "m0-abc"}, {"Authorization": "Token m0-abc"}])
async def test_foreign_key_gets_a_hint_about_our_prefix(anonymous: httpx.AsyncClient, header: dict[str, str]) -> None:
    refused = await anonymous.get("/v1/ping/", headers=header)
    assert (refused.status_code, "ks_" in refused.json()["detail"]) == (401, True)


async def test_keys_of_another_project_are_404(client: httpx.AsyncClient, sign_up: SignUp) -> None:
    made = await create(client)
    outsider = (await sign_up()).client
    assert made["id"] not in (await outsider.get(KEYS)).text
    answers = [
        await outsider.get(f"{KEYS}/{made['id']}"),
        await outsider.delete(f"{KEYS}/{made['id']}"),
        await outsider.post(f"{KEYS}/{made['id']}/rotate"),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404]


@pytest_asyncio.fixture
async def keys(resources: Resources) -> AsyncIterator[StoredKeys]:
    """A separate finder, which writes the last use only when the test calls it."""
    keys = StoredKeys(resources.database, resources.key_pepper)
    yield keys
    await keys.close()


async def last_used(database: Database, project_id: uuid.UUID, key_id: uuid.UUID) -> dt.datetime | None:
    async with database.transaction(project_id) as tx:
        moment: dt.datetime | None = await tx.scalar(SELECT_LAST_USED_SQL, {"id": key_id})
    return moment


async def test_last_use_is_written_later_and_at_most_once_a_minute(
    database: Database, make_key: MakeKey, keys: StoredKeys
) -> None:
    holder = await make_key()
    grant = await keys.find(holder.key)
    assert grant is not None
    where = (database, holder.project_id, grant.key_id)
    assert await last_used(*where) is None, "a request does not wait for the write"
    await keys.write_last_used()
    first = await last_used(*where)
    assert first is not None

    await keys.find(holder.key)
    await keys.write_last_used()
    assert await last_used(*where) == first
    async with database.transaction(holder.project_id) as tx:
        await tx.execute(text("update api_keys set last_used_at = last_used_at - interval '1 minute'"))
    await keys.find(holder.key)
    await keys.write_last_used()
    later = await last_used(*where)
    assert later is not None
    assert later >= first


async def test_wrong_key_does_not_count_as_a_use(database: Database, make_key: MakeKey, keys: StoredKeys) -> None:
    holder = await make_key()
    other = await make_key()
    mixed = other.key[:15] + holder.key[15:]
    assert await keys.find(mixed) is None
    assert await keys.find("ks_nonsense") is None
    await asyncio.wait_for(keys.write_last_used(), PATIENCE_SECONDS)
    rows = await holder.client.get(KEYS)
    assert {row["last_used_at"] for row in rows.json()["results"]} == {None}
