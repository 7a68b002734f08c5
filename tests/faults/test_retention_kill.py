"""A retention run whose server is killed in the middle finishes after the restart and counts each memory once."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.installation import Installation, Victim, running_installation, wait_until_ready

MEMORIES = 20_000
FINISH_SECONDS = 180
INSERT_MEMORIES_SQL = b"""
insert into memories (project_id, namespace, agent_id, kind, content, hash, state, categories, created_at)
select id, id::text || ':', 'a', 'fact', 'memory ' || number, sha256(number::text::bytea), 'indexed', '{}',
  now() - interval '100 days'
from projects cross join generate_series(1, %s) as number
"""
ARCHIVED_SQL = b"select count(*) from memories where archived_at is not null"
HISTORY_SQL = b"select count(*), count(distinct memory_id) from memory_history where event = 'ARCHIVE'"


@pytest.mark.long
async def test_killed_retention_run_finishes_and_counts_each_memory_once(tmp_path: Path) -> None:
    async with running_installation(tmp_path / "data", split=False) as installation:
        await wait_until_ready(installation)
        headers = {"X-API-Key": await asyncio.to_thread(installation.create_key)}
        with installation.connect() as postgres:
            postgres.execute(INSERT_MEMORIES_SQL, [MEMORIES])
        async with httpx.AsyncClient(base_url=installation.address, headers=headers, timeout=60) as client:
            put = {"rules": [{"name": "old", "older_than_days": 30}]}
            assert (await client.put("/v1/admin/retention", json=put)).status_code == 200
            run_id = (await client.post("/v1/admin/retention/run")).json()["id"]
            killed_at = await wait_until(installation, client, run_id, lambda run: run["archived"] > 0)
            installation.kill(Victim.API, random.Random(1))
            ended = await wait_until(installation, client, run_id, lambda run: run["state"] == "finished")
        with installation.connect() as postgres:
            archived = postgres.execute(ARCHIVED_SQL).fetchone()
            history = postgres.execute(HISTORY_SQL).fetchone()
    assert 0 < killed_at["archived"] < MEMORIES, "the server was killed in the middle of the run"
    assert ended["archived"] == MEMORIES
    assert (archived, history) == ((MEMORIES,), (MEMORIES, MEMORIES))


async def wait_until(installation: Installation, client: httpx.AsyncClient, run_id: str, met: Any) -> dict[str, Any]:
    path = f"/v1/admin/retention/runs/{run_id}"
    async with asyncio.timeout(FINISH_SECONDS):
        while True:
            try:
                found = await client.get(path)
            except httpx.TransportError:
                await wait_until_ready(installation)
                continue
            run: dict[str, Any] = found.json()
            if found.status_code == 200 and met(run):
                return run
            await asyncio.sleep(0.05)
