"""How soon extraction follows, when the model answers at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest_asyncio

from app.adapters.models.mem0 import Mem0Extractor, OpenAIExtractionModel
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.resources import Resources
from app.memory.namespace import Namespace
from app.worker import run_jobs
from tests.memory.extraction.conversations import queue_messages
from tests.memory.namespaces import create_namespace, new_project, wait_until_ended
from tests.model_server import ModelServer


@pytest_asyncio.fixture
async def extraction_resources(own_resources: Resources, model_server: ModelServer) -> AsyncIterator[Resources]:
    extractor = Mem0Extractor(OpenAIExtractionModel(OpenAIModel(Connection(base_url=model_server.url), model="any")))
    yield replace(own_resources, extractor=extractor)
    await extractor.close()


@pytest_asyncio.fixture
async def ann(own_resources: Resources) -> Namespace:
    return await create_namespace(own_resources, await new_project(own_resources))


async def test_finished_extraction_wakes_the_next_one_of_its_namespace(
    extraction_resources: Resources, ann: Namespace
) -> None:
    """The worker polls once a minute here. The metadata differ, so that each event is read alone."""
    async with run_jobs(extraction_resources, concurrency=4, poll_seconds=60):
        began = time.monotonic()
        events = [
            await queue_messages(extraction_resources, ann, f"Sentence {number}", metadata={"number": number})
            for number in range(12)
        ]
        await asyncio.gather(*(wait_until_ended(extraction_resources, ann, each) for each in events))
    assert time.monotonic() - began < 15
