"""A server that is killed while the model writes a summary folds nothing, and folds once after the restart."""

import asyncio
import random
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ROOT, environment
from tests.faults.installation import Installation, Victim, running_installation, wait_until_ready
from tests.memory.summaries.episodes import GOOD, LONG_AGO, SUMMARY, TRIP
from tests.model_server import Held, ModelServer
from tests.patience import PATIENCE_SECONDS

SELECT_SUMMARIES_SQL = b"select content from memories where kind = 'summary'"
COUNT_FOLDED_SQL = b"""
select count(*) from memories e join memories s on s.id = e.replaced_by where e.kind = 'episode' and s.kind = 'summary'
"""
REPEATED_AFTER_SECONDS = 120


@pytest.mark.long
async def test_fold_that_is_killed_is_done_once_after_the_restart(tmp_path: Path, model_server: ModelServer) -> None:
    settings = {"LLM_BASE_URL": model_server.url, "LLM_API_KEY": "key", "LLM_MODEL": "any"}
    released = threading.Event()
    model_server.summaries(Held(released, GOOD), GOOD)
    async with running_installation(tmp_path / "data", split=False, **settings) as installation:
        await wait_until_ready(installation)
        headers = {"X-API-Key": await asyncio.to_thread(installation.create_key)}
        async with httpx.AsyncClient(base_url=installation.address, headers=headers, timeout=60) as client:
            for minute, text in enumerate(TRIP):
                said_at = int(LONG_AGO.timestamp()) + 60 * minute
                body = {"messages": text, "infer": False, "user_id": "ann", "timestamp": said_at}
                assert (await client.post("/v3/memories/add/", json=body)).status_code == 200
        printed = await asyncio.to_thread(run_command, installation)
        assert "Asked the server to fold 5 episodes into 1 summaries" in printed
        await asked(model_server, 1)
        installation.kill(Victim.API, random.Random(1))
        released.set()
        await wait_until_ready(installation)
        with installation.connect() as postgres:
            assert postgres.execute(SELECT_SUMMARIES_SQL).fetchall() == []
            await asked(model_server, 2)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (found := postgres.execute(SELECT_SUMMARIES_SQL).fetchall()):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            assert found == [(SUMMARY,)]
            assert postgres.execute(COUNT_FOLDED_SQL).fetchall() == [(5,)]


def run_command(installation: Installation) -> str:
    command = [sys.executable, "-m", "app", "consolidate", "--summaries"]
    settings = environment(installation.data_dir, **installation.settings)
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def asked(model_server: ModelServer, count: int) -> None:
    async with asyncio.timeout(REPEATED_AFTER_SECONDS):
        while len(model_server.summarized) < count:  # noqa: ASYNC110  (the model server is a thread)
            await asyncio.sleep(0.2)
