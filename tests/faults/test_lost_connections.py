"""Postgres refuses and ends connections, or is killed, under running workers. Queued jobs are done all the same."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import httpx
import psycopg
import pytest
import pytest_asyncio

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.api_keys.key import make_key
from app.api_keys.repository import ApiKeyRepository
from app.core.jobs import QUEUE_CONNECTIONS
from app.core.ports import ExtractionRequest
from app.core.resources import Resources
from app.identity.scopes import EVERYTHING
from app.main import create_app
from app.settings import Settings
from app.wiring import open_resources
from app.worker import run_jobs
from tests.conftest import open_client
from tests.memory.namespaces import new_project
from tests.patience import PATIENCE_SECONDS

TERMINATE_SQL = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'keepsake_app'"
TERMINATE_QUEUE_SQL = f"{TERMINATE_SQL} and application_name = '{QUEUE_CONNECTIONS}'"
UNLIMITED = "1000000/minute"
Body = dict[str, Any]


@dataclass
class FaultyServer:
    """A server with a database of its own, whose connections a test can cut."""

    resources: Resources
    client: httpx.AsyncClient
    admin_url: str
    data_dir: Path

    async def execute(self, *statements: str) -> None:
        async with await psycopg.AsyncConnection.connect(self.admin_url, autocommit=True) as admin:
            for statement in statements:
                await admin.execute(statement.encode())

    @asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Every connection of the server is ended, and new ones are refused while the block runs."""
        await self.execute("alter role keepsake_app nologin", TERMINATE_SQL)
        try:
            yield
        finally:
            await self.execute("alter role keepsake_app login")

    def kill_postgres(self) -> None:
        """SIGKILL. The server starts it again."""
        pid = int((self.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)

    async def add(self, words: str) -> str:
        body = {"messages": [{"role": "user", "content": words}], "user_id": uuid.uuid4().hex}
        return str((await self.request("POST", "/v3/memories/add/", json=body))["event_id"])

    async def statuses(self, events: list[str]) -> set[str]:
        return {(await self.request("GET", f"/v1/event/{event}/"))["status"] for event in events}

    async def request(self, method: str, path: str, **values: Any) -> Body:
        """As a client does that tries again after a 503."""
        while (response := await self.client.request(method, path, **values)).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert response.status_code == 200, response.text
        body: Body = response.json()
        return body

    async def ready(self) -> tuple[int, Body]:
        response = await self.client.get("/v1/ready")
        return response.status_code, response.json()

    async def wait_until_ready(self, done: Callable[[int, Body], bool]) -> Body:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not done(*(answer := await self.ready())):  # noqa: ASYNC110
                await asyncio.sleep(0.25)  # five requests a second are allowed
        return answer[1]

    async def wait_until_finished(self, events: list[str]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.statuses(events) != {"SUCCEEDED"}:  # noqa: ASYNC110
                await asyncio.sleep(0.1)


def restarting(body: Body) -> set[str]:
    return {name for name, task in body["tasks"].items() if task["state"] == "restarting"}


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FaultyServer]:
    folder = tmp_path_factory.mktemp("faulty")
    settings = Settings(_env_file=None, data_dir=folder, rate_limit_user=UNLIMITED, rate_limit_project=UNLIMITED)
    async with open_resources(settings) as resources:
        project = await new_project(resources)
        async with resources.database.transaction(project) as tx:
            _, key = await ApiKeyRepository(tx, project).issue(
                resources.key_pepper, name="test", scopes=sorted(EVERYTHING), expires_at=None, created_by=None
            )
        async with open_client(create_app(resources), key) as client:
            admin_url = EmbeddedPostgres(folder).url("postgres").replace("+psycopg", "")
            yield FaultyServer(resources, client, admin_url, folder)


@pytest.mark.long
async def test_jobs_are_done_after_workers_lost_their_connections(server: FaultyServer) -> None:
    async with run_jobs(server.resources, concurrency=2, poll_seconds=0.2):
        await server.wait_until_finished([await server.add("I live in Lisbon")])
        async with server.cut_off():
            body = await server.wait_until_ready(lambda status, body: {"jobs", "webhooks"} <= restarting(body))
            assert body["status"] == "not ready"
        events = [await server.add(f"I own {number} marbles") for number in range(5)]
        await server.wait_until_finished(events)
        body = await server.wait_until_ready(lambda status, body: status == 200)
        assert {task["state"] for task in body["tasks"].values()} == {"running"}
        assert body["tasks"]["jobs"]["restarts"] > 0


async def test_jobs_are_done_while_connections_of_the_queue_are_terminated(server: FaultyServer) -> None:
    """Jobs whose start or end could not be recorded are run again or recorded again."""
    async with run_jobs(server.resources, concurrency=4, poll_seconds=0.2):
        events = list[str]()
        for number in range(20):
            events.append(await server.add(f"I own {number} marbles"))
            await server.execute(TERMINATE_QUEUE_SQL)
        await server.wait_until_finished(events)


@pytest.mark.long
async def test_jobs_are_done_after_postgres_was_killed_under_running_workers(server: FaultyServer) -> None:
    async with run_jobs(server.resources, concurrency=2, poll_seconds=0.2):
        events = [await server.add(f"I own {number} marbles") for number in range(5)]
        server.kill_postgres()
        events += [await server.add(f"I own {number} boats") for number in range(5)]
        await server.wait_until_finished(events)
        body = await server.wait_until_ready(lambda status, body: status == 200)
        assert {task["state"] for task in body["tasks"].values()} == {"running"}


async def test_request_with_a_body_is_unavailable_while_its_credential_cannot_be_checked(server: FaultyServer) -> None:
    """400 would tell the client to change the request instead of repeating it."""
    async with server.cut_off():
        headers = {"Authorization": f"Token {make_key().whole}"}
        body = {"messages": "I like tea", "user_id": "ana"}
        response = await server.client.post("/v3/memories/add/", json=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable"), response.text
    assert response.headers["Retry-After"]


class HangingExtractor:
    """A model that answers nothing."""

    name = "hanging"

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()

    async def extract(self, request: ExtractionRequest) -> NoReturn:
        self.is_asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None: ...


async def test_job_that_is_cancelled_with_its_worker_is_done_by_the_next_one(server: FaultyServer) -> None:
    extractor = HangingExtractor()
    async with run_jobs(replace(server.resources, extractor=extractor), concurrency=1, poll_seconds=0.2):
        event = await server.add("I live in Porto")
        await asyncio.wait_for(extractor.is_asked.wait(), PATIENCE_SECONDS)
    assert await server.statuses([event]) == {"RUNNING"}
    async with run_jobs(server.resources, concurrency=1, poll_seconds=0.2):
        await server.wait_until_finished([event])
