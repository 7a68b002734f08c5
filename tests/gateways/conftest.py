"""What the tests of every API share."""

import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.chat.conversation import AdminRows


@pytest_asyncio.fixture(scope="session")
async def admin_rows(admin_engine: AsyncEngine) -> AdminRows:
    return AdminRows(admin_engine)
