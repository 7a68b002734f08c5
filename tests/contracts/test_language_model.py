"""The contract of the LanguageModel port, run against every adapter."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.adapters.models.offline import OfflineModel
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.ports import ChatMessage, LanguageModel, ModelOptions, Role, Token, Usage
from tests.model_server import ModelServer

MESSAGES = [ChatMessage(Role.SYSTEM, "Be kind."), ChatMessage(Role.USER, "Hello \ud83d")]


@pytest_asyncio.fixture(params=["openai", "offline"])
async def model(request: pytest.FixtureRequest, model_server: ModelServer) -> AsyncIterator[LanguageModel]:
    made: LanguageModel = (
        OfflineModel() if request.param == "offline" else OpenAIModel(Connection(model_server.url), model="any")
    )
    yield made
    await made.close()


async def listen(model: LanguageModel) -> list[Token | Usage]:
    return [part async for part in model.stream(MESSAGES, ModelOptions())]


async def test_stream_ends_with_exactly_one_usage(model: LanguageModel) -> None:
    *tokens, last = await listen(model)
    assert isinstance(last, Usage)
    assert len(tokens) > 1
    assert all(isinstance(token, Token) and token.text for token in tokens)


async def test_concurrent_answers_are_separate(model: LanguageModel) -> None:
    alone = await listen(model)
    assert await asyncio.gather(*[listen(model) for _ in range(30)]) == [alone] * 30


async def test_stream_can_be_closed_at_any_point(model: LanguageModel) -> None:
    for parts in range(4):
        stream = model.stream(MESSAGES, ModelOptions())
        for _ in range(parts):
            await anext(stream)
        del stream
        gc.collect()
    assert isinstance((await listen(model))[-1], Usage)


async def test_stream_yields_to_other_tasks_between_tokens(model: LanguageModel) -> None:
    served = 0

    async def other() -> None:
        nonlocal served
        while True:
            await asyncio.sleep(0)
            served += 1

    task = asyncio.create_task(other())
    count = len(await listen(model))
    task.cancel()
    assert served >= count - 2


async def test_model_has_a_name_and_is_healthy(model: LanguageModel) -> None:
    assert model.name
    assert await model.healthy()
