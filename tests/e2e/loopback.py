"""The application on a port of its own, for clients that speak HTTP and nothing else."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import uvicorn
from fastapi import FastAPI

from app.adapters.in_process import InProcessCounters
from app.core.rate_limit import Limit, RateLimits
from app.core.resources import Resources
from app.main import create_app

MANY = 1_000_000


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    door = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    running = asyncio.create_task(server.serve([door]))
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    server.should_exit = True
    await running


def strict(resources: Resources, *, requests: int) -> FastAPI:
    """The same house, where each caller may ask so often in an hour."""
    limits = RateLimits(
        InProcessCounters(),
        user=Limit("user", requests, 3600),
        project=Limit("project", MANY, 60),
        everyone=Limit("global", MANY, 60),
        chat=Limit("chat", MANY, 60),
    )
    return create_app(replace(resources, limits=limits))
