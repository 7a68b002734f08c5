import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.core.resources import Resources
from app.memory.namespace import Namespace
from app.settings import Settings
from app.wiring import open_resources
from tests.memory.namespaces import create_namespace


@pytest_asyncio.fixture(scope="module")
async def own_resources(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Resources]:
    """Resources with a database of their own, for tests that count or repair all rows, or that run a worker."""
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("own"))
    async with open_resources(settings) as resources:
        yield resources


@pytest_asyncio.fixture
async def namespace(resources: Resources, project_id: uuid.UUID) -> Namespace:
    return await create_namespace(resources, project_id)
