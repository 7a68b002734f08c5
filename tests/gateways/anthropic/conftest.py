"""Anthropic's own client, connected to the app on loopback."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.conftest import KeyHolder
from tests.lazy_package import LazyPackage
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    import anthropic
    from anthropic import AsyncAnthropic
else:
    anthropic = LazyPackage("anthropic")

ConnectAnthropic = Callable[..., "AsyncAnthropic"]


@pytest_asyncio.fixture
async def connect_anthropic(app_url: str, key_holder: KeyHolder) -> AsyncIterator[ConnectAnthropic]:
    opened: list[AsyncAnthropic] = []

    def connect(key: str | None = None, url: str | None = None, **headers: str) -> "AsyncAnthropic":
        api_key = key or key_holder.key
        client = anthropic.AsyncAnthropic(
            base_url=url or app_url, api_key=api_key, max_retries=0, timeout=PATIENCE_SECONDS, default_headers=headers
        )
        opened.append(client)
        return client

    yield connect
    for client in opened:
        await client.close()


@pytest.fixture
def claude(connect_anthropic: ConnectAnthropic) -> "AsyncAnthropic":
    return connect_anthropic()


async def paths(claude: "AsyncAnthropic", store: str, **more: Any) -> list[str]:
    return [item.path async for item in claude.beta.memory_stores.memories.list(store, **more)]


def address_of(memory_id: str) -> str:
    """Of the same memory in mem0's API."""
    return f"/v1/memories/{uuid.UUID(memory_id.removeprefix('mem_'))}/"
