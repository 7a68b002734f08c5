"""OpenAI's own client, connected over loopback to one server for all tests of a module."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import openai
import pytest
import pytest_asyncio

from app.adapters.models.offline import OfflineExtractor
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.resources import Resources
from app.main import create_app
from tests.conftest import KeyHolder
from tests.loopback import serve_on_loopback
from tests.model_server import ModelServer
from tests.patience import PATIENCE_SECONDS


@dataclass(frozen=True)
class ServedModel:
    """A server with a language model that tests play."""

    resources: Resources
    url: str


@pytest_asyncio.fixture(scope="module")
async def served(resources: Resources, shared_model_server: ModelServer) -> AsyncIterator[ServedModel]:
    model = OpenAIModel(Connection(base_url=shared_model_server.url, tries=1, at_once=4), model="test-model")
    values = replace(resources.config, has_model=True, allowed_models=frozenset({"other-model", "test-model"}))
    parts = replace(resources, llm=model, extractor=OfflineExtractor(), config=values)
    async with serve_on_loopback(create_app(parts)) as url:
        yield ServedModel(parts, url)
    await model.close()


ConnectOpenAI = Callable[..., openai.AsyncOpenAI]


@pytest_asyncio.fixture
async def connect_openai(served: ServedModel, key_holder: KeyHolder) -> AsyncIterator[ConnectOpenAI]:
    """Makes clients of the served app or another one, with the key of the test's project or another one."""
    opened: list[openai.AsyncOpenAI] = []

    def connect(key: str | None = None, url: str | None = None, **headers: str) -> openai.AsyncOpenAI:
        base_url, api_key = f"{url or served.url}/v1", key or key_holder.key
        client = openai.AsyncOpenAI(
            base_url=base_url, api_key=api_key, max_retries=0, timeout=PATIENCE_SECONDS, default_headers=headers
        )
        opened.append(client)
        return client

    yield connect
    for client in opened:
        await client.close()


@pytest.fixture
def ai(connect_openai: ConnectOpenAI, model_server: ModelServer) -> openai.AsyncOpenAI:
    """`model_server` is reset before each test that uses it."""
    return connect_openai()
