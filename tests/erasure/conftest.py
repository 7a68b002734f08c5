import uuid

import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.resources import Resources
from tests.chat.conversation import AdminRows
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
