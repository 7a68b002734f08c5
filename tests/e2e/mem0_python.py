"""mem0's Python clients, with and without `async`, called the same way by the same tests.

tests/conftest.py imports app.adapters first, which turns mem0's telemetry off before mem0 is imported here.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import httpx
import pytest
import pytest_asyncio
from mem0 import AsyncMemoryClient, MemoryClient

from tests.conftest import KeyHolder, MakeKey
from tests.patience import PATIENCE_SECONDS

ALICE = {"user_id": "alice"}


@dataclass(frozen=True)
class Mem0:
    """Either client, called the same way. The synchronous client runs in a thread, because the server uses this one."""

    client: Any
    """MemoryClient or AsyncMemoryClient, which are untyped."""
    key: KeyHolder
    url: str

    async def __call__(self, method: str, *args: Any, **more: Any) -> Any:
        call = attrgetter(method)(self.client)
        if inspect.iscoroutinefunction(call):
            return await call(*args, **more)
        return await asyncio.to_thread(call, *args, **more)

    async def event(self, event_id: str) -> dict[str, Any]:
        """Polls the event until it ends, as users of mem0 do."""
        async with httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Token {self.key.key}"}, timeout=PATIENCE_SECONDS
        ) as http:
            for _ in range(1200):
                event: dict[str, Any] = (await http.get(f"/v1/event/{event_id}/")).json()
                if event["status"] in ("SUCCEEDED", "FAILED"):
                    return event
                await asyncio.sleep(0.05)
        raise AssertionError("the event never ended")

    async def add_verbatim(self, text: str, **more: Any) -> str:
        """Stores one memory verbatim."""
        more = {"user_id": "alice", **more}
        added = await self("add", [{"role": "user", "content": text}], infer=False, **more)
        return str(added["results"][0]["id"])

    async def list_texts(self, **filters: Any) -> list[str]:
        listed = await self("get_all", filters=filters or ALICE)
        return [row["memory"] for row in listed["results"]]


async def connect_client(client_class: type[Any], url: str, key: KeyHolder) -> Mem0:
    return Mem0(await asyncio.to_thread(client_class, api_key=key.key, host=url), key, url)


async def close(mem0: Mem0) -> None:
    if isinstance(mem0.client, AsyncMemoryClient):
        await mem0.client.async_client.aclose()
    else:
        mem0.client.client.close()


@pytest.fixture(params=[MemoryClient, AsyncMemoryClient], ids=lambda each: each.__name__)
def client_class(request: pytest.FixtureRequest) -> type[Any]:
    chosen: type[Any] = request.param
    return chosen


@pytest_asyncio.fixture
async def mem0(client_class: type[Any], server_url: str, make_key: MakeKey) -> AsyncIterator[Mem0]:
    mem0 = await connect_client(client_class, server_url, await make_key())
    yield mem0
    await close(mem0)
