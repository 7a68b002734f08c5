import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.content_cipher import MasterKeys, ProjectCipher
from app.api_keys.repository import ApiKeyRepository
from app.core.database.database import Database
from app.core.resources import Resources
from app.identity.scopes import EVERYTHING
from app.main import create_app
from app.memory.indexing import Indexer
from tests.conftest import open_client

MASTER = "a master key of the tests, long enough"
DELETE_CONTENT_KEYS_SQL = text("delete from content_keys where master_key <> all(:others)")


def encrypting_database(url: str, *masters: str, new_projects: bool = True) -> Database:
    database = Database(url, pool_size=4)
    cipher = ProjectCipher(database, MasterKeys(masters or (MASTER,)), encrypts_new_projects=new_projects)
    database.encrypt_content(cipher, cipher)
    return database


@pytest_asyncio.fixture(scope="module")
async def sealing_database(resources: Resources, admin_engine: AsyncEngine) -> AsyncIterator[Database]:
    """Encrypts the projects that use it first. Its keys are deleted, because later starts lack the master key."""
    async with admin_engine.connect() as connection:
        others = list(await connection.scalars(text("select master_key from content_keys")))
    database = encrypting_database(resources.database.url)
    yield database
    await database.close()
    async with admin_engine.begin() as connection:
        await connection.execute(DELETE_CONTENT_KEYS_SQL, {"others": others})


@pytest_asyncio.fixture(scope="module")
async def sealing_resources(resources: Resources, sealing_database: Database) -> AsyncIterator[Resources]:
    queue = Indexer(sealing_database, resources.embedder, resources.index)
    queue.start()
    yield replace(resources, database=sealing_database, index_queue=queue)
    await queue.close()


@pytest_asyncio.fixture
async def sealed_client(sealing_resources: Resources, project_id: uuid.UUID) -> AsyncIterator[httpx.AsyncClient]:
    """An application with an API key of an encrypted project."""
    async with sealing_resources.database.transaction(project_id) as tx:
        _, key = await ApiKeyRepository(tx, project_id).issue(
            sealing_resources.key_pepper, name="test", scopes=sorted(EVERYTHING), expires_at=None, created_by=None
        )
    async with open_client(create_app(sealing_resources), key) as client:
        yield client
