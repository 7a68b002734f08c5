"""The application on a port of the loopback interface, for mem0's own clients."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio
from fastapi import FastAPI

os.environ["MEM0_TELEMETRY"] = "False"  # read on import; tests must not connect to other hosts
from mem0 import MemoryClient

from tests.e2e.loopback import serving

Connect = Callable[[str], Awaitable[MemoryClient]]


@pytest_asyncio.fixture(scope="session")
async def address(app: FastAPI) -> AsyncIterator[str]:
    async with serving(app) as address:
        yield address


@pytest_asyncio.fixture
async def connect(address: str) -> AsyncIterator[Connect]:
    """Makes clients of mem0 for a key."""
    opened: list[MemoryClient] = []

    async def make(key: str) -> MemoryClient:
        opened.append(await asyncio.to_thread(MemoryClient, api_key=key, host=address))
        return opened[-1]

    yield make
    for client in opened:
        client.client.close()
