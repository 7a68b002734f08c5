import uuid

import pytest_asyncio

from app.core.resources import Resources
from app.memory.namespace import Namespace
from tests.memory.namespaces import move_in


@pytest_asyncio.fixture
async def home(resources: Resources, project_id: uuid.UUID) -> Namespace:
    return await move_in(resources, project_id)
