"""The whole app with a model server on loopback, which records every request."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.models.offline import OfflineExtractor
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.resources import Resources
from app.main import create_app
from tests.chat.conversation import AdminRows, Conversation, start_conversation
from tests.conftest import KeyHolder, open_client
from tests.model_server import ModelServer

StartConversation = Callable[..., Awaitable[Conversation]]


@pytest_asyncio.fixture
async def chat_resources(resources: Resources, model_server: ModelServer) -> AsyncIterator[Resources]:
    """Resources with the model server as the language model. Facts are extracted offline, so that tests know them."""
    model = OpenAIModel(Connection(base_url=model_server.url, tries=1, at_once=150), model="test-model")
    values = replace(resources.config, has_model=True, allowed_models=frozenset({"other-model"}))
    yield replace(resources, llm=model, extractor=OfflineExtractor(), config=values)
    await model.close()


@pytest.fixture
def app(chat_resources: Resources) -> FastAPI:
    return create_app(chat_resources)


@pytest_asyncio.fixture(scope="session")
async def admin_rows(admin_engine: AsyncEngine) -> AdminRows:
    return AdminRows(admin_engine)


@pytest.fixture
def conversation(key_holder: KeyHolder) -> StartConversation:
    async def start(mode: str = "normal", user_id: str | None = None, **more: object) -> Conversation:
        return await start_conversation(key_holder.client, key_holder.project_id, mode, user_id, **more)

    return start


@pytest.fixture
def another_app(key_holder: KeyHolder, chat_resources: Resources) -> Callable[..., httpx.AsyncClient]:
    """A client of an app with the same resources, some of them replaced, and with the same API key."""

    def build(**parts: object) -> httpx.AsyncClient:
        return open_client(create_app(replace(chat_resources, **parts)), key_holder.key)  # type: ignore[arg-type]  # fields of Resources

    return build
