import uuid

import pytest_asyncio

from app.core.resources import Resources
from app.memory.namespace import Namespace
from tests.memory.namespaces import create_namespace


@pytest_asyncio.fixture
async def home(resources: Resources, project_id: uuid.UUID) -> Namespace:
    return await create_namespace(resources, project_id)
