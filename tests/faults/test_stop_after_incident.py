"""A process whose workers have failed still stops properly: SIGTERM ends it with code 0 and leaves nothing behind."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest

from app.adapters.embedded_postgres import EmbeddedPostgres
from tests.e2e.server import ROOT, environment, processes_using, serving
from tests.patience import PATIENCE_SECONDS

TAKE_QUEUE_AWAY = "alter schema jobs rename to taken_away"
GIVE_QUEUE_BACK = "alter schema taken_away rename to jobs"


async def execute(data_dir: Path, statement: str) -> None:
    url = EmbeddedPostgres(data_dir).url("postgres").replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
        await admin.execute(statement.encode())


async def wait_until_ready_is(client: httpx.AsyncClient, status: int) -> httpx.Response:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (ready := await client.get("/v1/ready")).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return ready


async def test_server_whose_workers_failed_stops_with_code_0(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir) as keepsake:
        async with httpx.AsyncClient(base_url=keepsake.address, timeout=30) as client:
            await execute(data_dir, TAKE_QUEUE_AWAY)
            tasks = (await wait_until_ready_is(client, 503)).json()["tasks"]
            assert "restarting" in {tasks[name]["state"] for name in ("jobs", "webhooks", "stalled_jobs")}
            await execute(data_dir, GIVE_QUEUE_BACK)
            tasks = (await wait_until_ready_is(client, 200)).json()["tasks"]
            assert tasks.keys() == {
                "jobs",
                "webhooks",
                "stalled_jobs",
                "index_watch",
                "waiting_words",
                "indexer",
                "embedder_choices",
                "key_usage",
                "usage",
                "postgres",
                "connections",
            }
        assert keepsake.stop(signal.SIGTERM) == 0, keepsake.output
    assert processes_using(data_dir) == []


@pytest.mark.long
async def test_worker_process_that_fails_stops_with_code_0(tmp_path: Path) -> None:
    """The queue is still away when the process is stopped."""
    data_dir = tmp_path / "data"
    process = subprocess.Popen(  # noqa: ASYNC220 - it runs beside this test
        [sys.executable, "-m", "app", "worker"],
        cwd=ROOT,
        env=environment(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    try:
        await asyncio.to_thread(wait_for_line, process, '"working"')
        await execute(data_dir, TAKE_QUEUE_AWAY)
        await asyncio.to_thread(wait_for_line, process, '"task.failed"')
    finally:
        process.terminate()
        output, _ = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0, output
    assert processes_using(data_dir) == []


def wait_for_line(process: "subprocess.Popen[str]", words: str) -> None:
    assert process.stdout
    lines = list[str]()
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return
    raise AssertionError(lines)
