"""Deletions of memories leave none of their strings in a row or in the index, whatever deleted them."""

import uuid
from collections.abc import Awaitable, Callable

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.resources import Resources
from app.memory.indexing import load_upserts
from app.memory.indexing.repair import sweep
from app.retention.jobs import run_once
from tests.erasure.planting import Planted

Delete = Callable[[httpx.AsyncClient, Resources, AsyncEngine, Planted], Awaitable[None]]
AGE_MEMORIES_SQL = text("update memories set created_at = now() - interval '100 days' where user_id = :user")
AGE_ARCHIVED_SQL = text("""
with archived as (
  update memories set archived_at = now() - interval '100 days' where user_id = :user returning id, archived_at
)
update memory_history h set created_at = archived.archived_at from archived
where h.memory_id = archived.id and h.event = 'ARCHIVE'
""")


async def delete_all(client: httpx.AsyncClient, resources: Resources, admin: AsyncEngine, planted: Planted) -> None:
    assert (
        await client.delete("/v1/memories/", params={"user_id": planted.user_id, "profile_id": "*"})
    ).status_code == 200


async def delete_by_retention(
    client: httpx.AsyncClient, resources: Resources, admin: AsyncEngine, planted: Planted
) -> None:
    """The first run archives, the second one deletes what was archived long ago."""
    rule = {"name": "old", "older_than_days": 30, "delete_after_days": 30}
    assert (await client.put("/v1/admin/retention", json={"rules": [rule]})).status_code == 200
    for sql in (AGE_MEMORIES_SQL, AGE_ARCHIVED_SQL):
        async with admin.begin() as connection:
            await connection.execute(sql, {"user": planted.user_id})
        run = (await client.post("/v1/admin/retention/run")).json()
        await run_once(resources, planted.project_id, uuid.UUID(run["id"]))


NAMES = [f"{table}.{name}_id" for table in ("memories", "memory_history") for name in ("agent", "app", "run")]
"""They stay in the history, as the name of the user does, until their owner is erased."""
OF_MEMORIES = ("memories", "memory_history", "portraits", "feedback", "data_export_chunks")


async def delete_profile(client: httpx.AsyncClient, resources: Resources, admin: AsyncEngine, planted: Planted) -> None:
    other = {"user_id": planted.user_id, "name": "Other"}
    assert (await client.post("/v1/profiles", json=other)).status_code == 201
    assert (await client.delete(f"/v1/profiles/{planted.corner.profile_id}")).status_code == 200


async def delete_one_by_one(
    client: httpx.AsyncClient, resources: Resources, admin: AsyncEngine, planted: Planted
) -> None:
    assert (await client.delete(f"/v1/memories/{planted.corner.memory_id}/")).status_code == 200


DELETIONS = (delete_all, delete_by_retention, delete_profile, delete_one_by_one)


@pytest.mark.parametrize("delete", DELETIONS, ids=[each.__name__ for each in DELETIONS])
async def test_deleted_memories_leave_none_of_their_strings(
    delete: Delete,
    client: httpx.AsyncClient,
    resources: Resources,
    admin_engine: AsyncEngine,
    erased: Planted,
    spared: Planted,
) -> None:
    strings = set().union(*(erased.places[table] for table in OF_MEMORIES)) - erased.message_markers
    strings = strings.difference(*(erased.places[name] for name in NAMES))
    assert strings <= await erased.find(admin_engine, resources)
    await resources.index_queue.put(await load_upserts(resources.database, erased.project_id, ids_of(erased, spared)))
    assert await indexed(resources, erased, spared) == set(ids_of(erased, spared))
    await delete(client, resources, admin_engine, erased)
    await sweep(resources, older_than_seconds=0)
    assert strings & await erased.find(admin_engine, resources) == set()
    assert await indexed(resources, erased, spared) == set(ids_of(spared))
    assert spared.places["memories"] <= await spared.find(admin_engine, resources)


def ids_of(*users: Planted) -> list[uuid.UUID]:
    return [planted.corner.memory_id for planted in users]


async def indexed(resources: Resources, *users: Planted) -> set[uuid.UUID]:
    await resources.index_queue.wait_until_indexed(users[0].project_id, None)
    return set(await resources.index.find_existing(ids_of(*users)))
