"""The whole app with a model server on loopback, which remembers everything it was sent."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.adapters.models.offline import OfflineExtractor
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.resources import Resources
from app.main import create_app
from tests.chat.conversation import Rows, Talk, start_talk
from tests.conftest import KeyHolder, MakeKey, client_of
from tests.model_server import ModelServer

StartTalk = Callable[..., Awaitable[Talk]]


@pytest.fixture(scope="session")
def models() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def server(models: ModelServer) -> ModelServer:
    models.forget()
    return models


@pytest_asyncio.fixture
async def house(resources: Resources, server: ModelServer) -> AsyncIterator[Resources]:
    """Resources whose model is the server; facts are found without one, so that each test knows which."""
    model = OpenAIModel(Connection(base_url=server.url, tries=1, at_once=150), model="test-model")
    values = replace(resources.values, has_model=True)
    yield replace(resources, llm=model, extractor=OfflineExtractor(), values=values)
    await model.close()


@pytest.fixture
def app(house: Resources) -> FastAPI:
    return create_app(house)


@pytest_asyncio.fixture(scope="session")
async def rows(postgres: EmbeddedPostgres) -> AsyncIterator[Rows]:
    engine = create_async_engine(postgres.url("postgres"))
    yield Rows(engine)
    await engine.dispose()


@pytest_asyncio.fixture
async def key(make_key: MakeKey) -> KeyHolder:
    return await make_key()


@pytest.fixture
def talk(key: KeyHolder) -> StartTalk:
    async def start(mode: str = "normal", user_id: str | None = None, **more: object) -> Talk:
        return await start_talk(key.client, key.project_id, mode, user_id, **more)

    return start


@pytest.fixture
def another_app(key: KeyHolder, house: Resources) -> Callable[..., httpx.AsyncClient]:
    """The same house with some of its parts replaced, seen through the same key."""

    def build(**parts: object) -> httpx.AsyncClient:
        return client_of(create_app(replace(house, **parts)), key.key)  # type: ignore[arg-type]  # fields of Resources

    return build
