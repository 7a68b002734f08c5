"""Postgres hangs: it accepts connections and answers nothing. Readiness still answers in time, and says so."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from app.core.http.status_reports import KEPT_SECONDS
from app.main import create_app
from app.settings import Settings
from app.wiring import open_resources
from tests.conftest import open_client


@pytest_asyncio.fixture(scope="module")
async def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("frozen"))


@pytest_asyncio.fixture(scope="module")
async def client(data_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        open_resources(Settings(_env_file=None, data_dir=data_dir)) as resources,
        open_client(create_app(resources)) as client,
    ):
        yield client


@contextmanager
def frozen(data_dir: Path) -> Iterator[None]:
    """Every process of the server in this folder is stopped while the block runs."""
    postmaster = psutil.Process(int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0]))
    processes = [postmaster, *postmaster.children(recursive=True)]
    try:
        for process in processes:
            os.kill(process.pid, signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)


async def test_readiness_answers_within_two_seconds_while_postgres_hangs(
    client: httpx.AsyncClient, data_dir: Path
) -> None:
    assert (await client.get("/v1/ready")).status_code == 200
    with frozen(data_dir):
        await asyncio.sleep(KEPT_SECONDS)
        for _ in range(3):
            # A busy machine takes longer than the two seconds. Without a limit, it would wait for Postgres for ever.
            async with asyncio.timeout(10):
                ready = await client.get("/v1/ready")
            assert ready.status_code == 503
            assert ready.json()["checks"]["database"] == "unavailable"
            assert ready.json()["checks"]["index"] == "ok"
        async with asyncio.timeout(10):
            many = await asyncio.gather(*(client.get("/v1/ready") for _ in range(20)))
        assert {each.status_code for each in many} == {503}
    async with asyncio.timeout(60):
        while (ready := await client.get("/v1/ready")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert ready.json()["checks"]["database"] == "ok"
