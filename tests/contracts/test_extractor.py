"""The contract of the Extractor port, run against every adapter."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.adapters.models.mem0 import Mem0ExtractionModel, Mem0Extractor, OpenAIExtractionModel
from app.adapters.models.offline import OfflineExtractor
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.ports import ChatMessage, ExtractionRequest, Extractor, Role
from tests.model_server import Facts, ModelServer

FACT = "I moved to Lisbon last week."


@pytest_asyncio.fixture(params=["openai", "another provider", "offline"])
async def extractor(request: pytest.FixtureRequest, model_server: ModelServer) -> AsyncIterator[Extractor]:
    model_server.always(Facts(FACT), extraction=True)
    model = OpenAIModel(Connection(model_server.url), model="any")
    made: Extractor = OfflineExtractor()
    if request.param == "openai":
        made = Mem0Extractor(OpenAIExtractionModel(model))
    elif request.param == "another provider":
        made = Mem0Extractor(Mem0ExtractionModel("lmstudio", model="any", base_url=model_server.url))
    yield made
    await made.close()
    await model.close()


def said(*contents: str, role: Role = Role.USER) -> ExtractionRequest:
    return ExtractionRequest([ChatMessage(role, content) for content in contents], user_id="ana")


async def test_stated_fact_is_attributed_to_the_user(extractor: Extractor) -> None:
    [fact] = (await extractor.extract(said("Hello!", FACT))).facts
    assert fact.text == FACT
    assert fact.attributed_to is Role.USER


async def test_no_messages_yield_no_facts(extractor: Extractor) -> None:
    assert list((await extractor.extract(said())).facts) == []
    assert list((await extractor.extract(said(FACT, role=Role.SYSTEM))).facts) == []


async def test_concurrent_extractions_are_separate(extractor: Extractor) -> None:
    found = await asyncio.gather(*[extractor.extract(said(FACT)) for _ in range(12)])
    assert [len(extraction.facts) for extraction in found] == [1] * 12


async def test_extractor_has_a_name(extractor: Extractor) -> None:
    assert extractor.name
