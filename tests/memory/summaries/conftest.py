from collections.abc import AsyncIterator
from dataclasses import replace

import pytest_asyncio

from app.adapters.models.openai import Connection, OpenAIModel
from app.core.resources import Resources
from tests.model_server import ModelServer


@pytest_asyncio.fixture
async def folding_resources(resources: Resources, model_server: ModelServer) -> AsyncIterator[Resources]:
    model = OpenAIModel(Connection(base_url=model_server.url, tries=1), model="any")
    yield replace(resources, llm=model)
    await model.close()
