import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.resources import Resources
from tests.chat.conversation import AdminRows
from tests.e2e.redis_server import RedisServer
from tests.erasure.planting import Planted


@pytest_asyncio.fixture(scope="session")
async def admin_rows(admin_engine: AsyncEngine) -> AdminRows:
    return AdminRows(admin_engine)


@pytest_asyncio.fixture
async def erased(admin_engine: AsyncEngine, resources: Resources, project_id: uuid.UUID) -> Planted:
    planted = Planted(project_id)
    await planted.plant(admin_engine, resources)
    return planted


@pytest_asyncio.fixture
async def spared(admin_engine: AsyncEngine, resources: Resources, project_id: uuid.UUID) -> Planted:
    """Another user of the same project."""
    planted = Planted(project_id)
    await planted.plant(admin_engine, resources)
    return planted


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.stop()
