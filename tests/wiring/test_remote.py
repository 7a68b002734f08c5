"""The settings of a remote model reach the client that calls it."""

import asyncio

import pytest

from app.core.errors import TimedOut
from app.core.ports import ChatMessage, ModelOptions, Role
from app.settings import Settings
from app.wiring.remote import connect_model
from tests.model_server import Hangs, ModelServer
from tests.patience import PATIENCE_SECONDS


async def test_llm_timeout_is_the_longest_wait_for_an_answer(model_server: ModelServer) -> None:
    model_server.chat(Hangs())
    model = connect_model(Settings(_env_file=None, llm_base_url=model_server.url, llm_timeout_seconds=0.2))
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(TimedOut):
            await model.complete([ChatMessage(Role.USER, "Hello")], ModelOptions())
    await model.close()
