"""The house on a real port of loopback, for mem0's own clients."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio
import uvicorn
from fastapi import FastAPI

os.environ["MEM0_TELEMETRY"] = "False"  # read when it is imported: no test may phone home
from mem0 import MemoryClient

Connect = Callable[[str], Awaitable[MemoryClient]]


@pytest_asyncio.fixture(scope="session")
async def address(app: FastAPI) -> AsyncIterator[str]:
    door = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve([door]))
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest_asyncio.fixture
async def connect(address: str) -> AsyncIterator[Connect]:
    """mem0's own client, with the key given."""
    opened: list[MemoryClient] = []

    async def make(key: str) -> MemoryClient:
        opened.append(await asyncio.to_thread(MemoryClient, api_key=key, host=address))
        return opened[-1]

    yield make
    for client in opened:
        client.client.close()
