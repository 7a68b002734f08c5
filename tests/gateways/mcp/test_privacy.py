"""The privacy table holds through this door: by a session, by a call, and by the configuration of the client."""

import uuid
from collections.abc import Mapping

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.resources import Resources
from tests.conftest import KeyHolder
from tests.gateways.mcp.conftest import ConnectMcp, Json, refusal, use

MODES = {
    # mode: (memories are read, memories are stored, access is counted)
    "normal": (True, True, True),
    "pause_memories": (True, False, False),
    "incognito": (False, False, False),
}
USER = {"X-Keepsake-User-Id": "ann"}
WITH_DECAY = text("update projects set settings = settings || '{\"decay\": true}' where id = :id")
"""Searches count as access in projects with decay only."""


async def count_rows(resources: Resources, project_id: uuid.UUID) -> Mapping[str, int]:
    statement = """select (select count(*) from memories where project_id = :id) as memories,
      (select count(*) from events where project_id = :id) as events,
      (select coalesce(sum(access_count), 0) from memories where project_id = :id) as accesses"""
    async with resources.database.transaction(project_id) as tx:
        row = (await tx.execute(text(statement), {"id": project_id})).one()
    return dict(row._mapping)


@pytest.mark.parametrize(
    ("mode", "way"),
    [
        *(("normal", "session"), ("pause_memories", "session"), ("incognito", "session")),
        *(("incognito", "call"), ("pause_memories", "connection"), ("incognito", "connection")),
    ],
)
async def test_privacy_table_holds(
    connect_mcp: ConnectMcp,
    key_holder: KeyHolder,
    resources: Resources,
    admin_engine: AsyncEngine,
    mode: str,
    way: str,
) -> None:
    reads, stores, counts = MODES[mode]
    async with admin_engine.begin() as connection:
        await connection.execute(WITH_DECAY, {"id": key_holder.project_id})
    async with connect_mcp(key_holder.key, headers=USER) as client:
        known = await use(client, "add_memory", text="I like green tea", infer=False)
        memory_id = known["results"][0]["id"]
        private: Json = {}
        if way == "session":
            session = await use(client, "start_session", privacy_mode="normal")
            changed = await use(client, "set_privacy_mode", session_id=session["id"], privacy_mode=mode)
            assert changed == await use(client, "get_privacy_mode", session_id=session["id"])
            private = {"session_id": session["id"]}
        elif way == "call":
            private = {"privacy_mode": mode}
    before = await count_rows(resources, key_holder.project_id)
    headers = {**USER, "X-Keepsake-Privacy-Mode": mode} if way == "connection" else USER
    async with connect_mcp(key_holder.key, headers=headers) as client:
        found = await use(client, "search_memories", query="green tea", **private)
        assert bool(found["results"]) is reads
        assert bool((await use(client, "get_memories", **private))["results"]) is reads
        if not reads:
            assert (await refusal(client, "get_memory", memory_id=memory_id, **private))["code"] == "private"
            assert (await use(client, "forget", what="that I like green tea", **private))["memories"] == []
        after_reading = await count_rows(resources, key_holder.project_id)
        assert (after_reading["accesses"] > before["accesses"]) is counts
        for infer in (True, False):
            await use(client, "add_memory", text="I live in Oslo", infer=infer, **private)
        await use(client, "update_memory", memory_id=memory_id, text="I like black tea", **private)
    after = await count_rows(resources, key_holder.project_id)
    assert (after["memories"] > before["memories"]) is stores
    assert (after["events"] > before["events"]) is stores


async def test_the_strictest_mode_applies(connect_mcp: ConnectMcp, key_holder: KeyHolder) -> None:
    async with connect_mcp(key_holder.key, headers={**USER, "X-Keepsake-Privacy-Mode": "incognito"}) as client:
        session = await use(client, "start_session", privacy_mode="normal")
        added = await use(
            client, "add_memory", text="x", infer=False, session_id=session["id"], privacy_mode="pause_memories"
        )
        assert (added["status"], added["privacy_mode"]) == ("SKIPPED", "incognito")


async def test_a_mode_or_session_that_is_unknown_is_refused(connect_mcp: ConnectMcp, key_holder: KeyHolder) -> None:
    """Storing anyway would break the promise that was meant."""
    async with connect_mcp(key_holder.key, headers=USER) as client:
        session = str(uuid.uuid4())
        assert (await refusal(client, "add_memory", text="x", session_id=session))["code"] == "not_found"
        assert (await refusal(client, "add_memory", text="x", privacy_mode="private"))["code"] == "invalid_request"
    async with connect_mcp(key_holder.key, headers={**USER, "X-Keepsake-Privacy-Mode": "private"}) as client:
        refused = await refusal(client, "add_memory", text="x")
        assert "X-Keepsake-Privacy-Mode" in refused["detail"]
