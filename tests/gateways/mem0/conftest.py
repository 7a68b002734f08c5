"""mem0's own client, connected to the app on loopback."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio

os.environ["MEM0_TELEMETRY"] = "False"  # read on import; tests must not connect to other hosts
from mem0 import MemoryClient

from tests.conftest import KeyHolder

Connect = Callable[[str], Awaitable[MemoryClient]]


@pytest_asyncio.fixture
async def connect(app_url: str) -> AsyncIterator[Connect]:
    """Makes clients of mem0 for a key."""
    opened: list[MemoryClient] = []

    async def make(key: str) -> MemoryClient:
        opened.append(await asyncio.to_thread(MemoryClient, api_key=key, host=app_url))
        return opened[-1]

    yield make
    for client in opened:
        client.client.close()


@pytest_asyncio.fixture
async def mem0_client(connect: Connect, key_holder: KeyHolder) -> MemoryClient:
    """mem0's own client, with a key of the test's project."""
    return await connect(key_holder.key)
