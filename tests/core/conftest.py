import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from app.core.resources import Resources
from app.main import create_app
from tests.conftest import open_client

MakeApp = Callable[..., FastAPI]


@pytest.fixture
def make_app(resources: Resources) -> MakeApp:
    """The app with other settings and the same resources."""

    def make(**values: Any) -> FastAPI:
        return create_app(dataclasses.replace(resources, config=dataclasses.replace(resources.config, **values)))

    return make


@pytest.fixture
def extendable_app(make_app: MakeApp) -> FastAPI:
    """An app to which a test can add routes."""
    return make_app()


@pytest_asyncio.fixture
async def app_client(extendable_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(extendable_app) as client:
        yield client
