import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import pytest_asyncio

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.api_keys.lookup import StoredKeys
from app.api_keys.repository import ApiKeyRepository
from app.core.database.database import Database
from app.core.database.migrations import migrate
from app.core.errors import ConfigurationError
from app.core.resources import Resources
from app.identity.local import GRANTS, SHIM
from app.identity.scopes import EVERYTHING
from app.main import create_app
from tests.conftest import open_client
from tests.faults.small_disk import SmallDisk, small_disk
from tests.patience import PATIENCE_SECONDS
from tests.rows import make_project
from tests.sql import run_sql


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 160) as disk:
        yield disk


@pytest_asyncio.fixture
async def postgres_server(disk: SmallDisk) -> AsyncIterator[EmbeddedPostgres]:
    postgres_server = EmbeddedPostgres(disk.folder / "data")
    yield postgres_server
    await postgres_server.stop()


async def test_first_start_on_a_full_disk_is_one_sentence(disk: SmallDisk, postgres_server: EmbeddedPostgres) -> None:
    disk.fill(but_megabytes=1)
    with pytest.raises(ConfigurationError, match=r"^The disk of DATA_DIR \([^\n]*\) is full\. Free some space"):
        await postgres_server.start()
    disk.make_room()
    await postgres_server.start()
    assert run_sql(postgres_server.url("postgres"), "select 1") == [(1,)], "what was begun is no hindrance"


async def test_restart_on_a_full_disk_is_one_sentence_and_loses_nothing(
    disk: SmallDisk, postgres_server: EmbeddedPostgres
) -> None:
    await postgres_server.start()
    run_sql(postgres_server.url("postgres"), "create table kept as select generate_series(1, 1000) n")
    await postgres_server.stop()
    disk.fill()
    with pytest.raises(ConfigurationError, match=r"^The disk of DATA_DIR \([^\n]*\) is full\. Free some space"):
        await postgres_server.start()
    disk.make_room()
    await postgres_server.start()
    assert run_sql(postgres_server.url("postgres"), "select count(*), sum(n) from kept") == [(1000, 500500)]


@pytest_asyncio.fixture
async def client(postgres_server: EmbeddedPostgres, resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    """The app with its database on the small disk."""
    await postgres_server.start()
    migrate(postgres_server.url("postgres"), [SHIM], [GRANTS])
    database = Database(postgres_server.url("keepsake_app"))
    async with database.system() as tx:
        project, _ = await make_project(tx)
    async with database.transaction(project) as tx:
        values = {"name": "k", "scopes": sorted(EVERYTHING), "expires_at": None, "created_by": None}
        _, key = await ApiKeyRepository(tx, project).issue(resources.key_pepper, **values)  # type: ignore[arg-type]
    keys = StoredKeys(database, resources.key_pepper)
    app = create_app(dataclasses.replace(resources, database=database, keys=keys))
    async with open_client(app, key) as client:
        yield client
    await database.close()


async def store(client: httpx.AsyncClient) -> httpx.Response:
    body = {"user_id": "ana", "name": uuid.uuid4().hex, "persona": uuid.uuid4().hex * 250}
    return await client.post("/v1/profiles", json=body)


async def stored(client: httpx.AsyncClient) -> set[str]:
    names: set[str] = set()
    path = "/v1/profiles?user_id=ana&limit=200"
    page = (await client.get(path)).json()
    while True:
        names |= {row["name"] for row in page["results"]}
        if page["next"] is None:
            return names
        page = (await client.get(f"{path}&cursor={page['next']}")).json()


async def test_full_disk_is_503_until_there_is_space(
    disk: SmallDisk, postgres_server: EmbeddedPostgres, client: httpx.AsyncClient
) -> None:
    kept = {(await store(client)).json()["name"]}
    disk.fill()
    while (answer := await store(client)).status_code == 201:
        kept.add(answer.json()["name"])
    assert answer.status_code == 503
    assert (answer.json()["code"], answer.headers["Retry-After"]) == ("disk_full", "30")
    assert answer.json()["detail"] == "The server's disk is full and nothing was stored. Free some space and try again."
    assert await stored(client) >= kept, "reading goes on"

    disk.make_room()
    answer = await store(client)
    assert answer.status_code == 201
    assert await stored(client) >= kept | {answer.json()["name"]}


async def test_database_restarts_after_a_full_disk(
    disk: SmallDisk, postgres_server: EmbeddedPostgres, client: httpx.AsyncClient
) -> None:
    """Postgres stops if it cannot write its write-ahead log."""
    kept = {(await store(client)).json()["name"] for _ in range(3)}
    disk.fill()
    with pytest.raises(psycopg.Error):
        run_sql(postgres_server.url("postgres"), "checkpoint")
    answer = await store(client)
    assert answer.status_code == 503, answer.text

    disk.make_room()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (answer := await store(client)).status_code == 503:  # noqa: ASYNC110 - the other side is another process
            await asyncio.sleep(0.2)
    assert answer.status_code == 201
    assert await stored(client) >= kept | {answer.json()["name"]}
