import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.webhook_client import HttpWebhookClient
from app.core.resources import Resources
from app.main import create_app
from app.worker import run_jobs
from tests.conftest import MakeKey, open_client
from tests.patience import PATIENCE_SECONDS

DELETE_WEBHOOKS_SQL = text("delete from webhooks where project_id = any(:ids)")
EVERYTHING = ["memory_add", "memory_update", "memory_delete", "memory_categorize"]


@dataclass
class WebhookProject:
    """A new project whose webhooks may reach loopback, with a short retry delay."""

    client: httpx.AsyncClient
    project_uuid: uuid.UUID
    resources: Resources
    key: str

    @property
    def project_id(self) -> str:
        return str(self.project_uuid)

    def jobs(self) -> AbstractAsyncContextManager[object]:
        return run_jobs(self.resources, concurrency=2, poll_seconds=0.2)

    async def hook(self, url: str, *events: str) -> dict[str, Any]:
        body = {"url": url, "name": "Hook", "event_types": list(events) or EVERYTHING}
        made = await self.client.post(f"/api/v1/webhooks/projects/{self.project_id}/", json=body)
        assert made.status_code == 201, made.text
        webhook: dict[str, Any] = made.json()
        return webhook

    async def remember(self, *texts: str) -> list[str]:
        messages = [{"role": "user", "content": text} for text in texts]
        body = {"messages": messages, "user_id": "anna", "infer": False}
        added = await self.client.post("/v3/memories/add/", json=body)
        assert added.status_code == 200, added.text
        return [each["id"] for each in added.json()["results"]]

    async def deliveries(self, webhook: dict[str, Any]) -> list[dict[str, Any]]:
        found = await self.client.get(f"/api/v1/webhooks/{webhook['webhook_id']}/deliveries/")
        results: list[dict[str, Any]] = found.json()["results"]
        return results


def with_webhook_client(resources: Resources, webhook_client: HttpWebhookClient, *, allow_private: bool) -> Resources:
    config = replace(resources.config, webhook_allow_private=allow_private, webhook_retry_seconds=0.05)
    return replace(resources, webhook_client=webhook_client, config=config)


OpenWebhookProject = Callable[..., Awaitable[WebhookProject]]


@pytest_asyncio.fixture
async def open_webhook_project(
    resources: Resources, make_key: MakeKey, admin_engine: AsyncEngine
) -> AsyncIterator[OpenWebhookProject]:
    opened: list[httpx.AsyncClient] = []
    projects: list[uuid.UUID] = []

    async def make(
        webhook_client: HttpWebhookClient, *, allow_private: bool = True, project: uuid.UUID | None = None
    ) -> WebhookProject:
        own = with_webhook_client(resources, webhook_client, allow_private=allow_private)
        holder = await make_key(project=project)
        opened.append(open_client(create_app(own), holder.key))
        projects.append(holder.project_id)
        return WebhookProject(opened[-1], holder.project_id, own, holder.key)

    yield make
    for client in opened:
        await client.aclose()
    # Otherwise the workers of the next tests go on sending to receivers that are gone.
    async with admin_engine.begin() as tx:
        await tx.execute(DELETE_WEBHOOKS_SQL, {"ids": projects})


@pytest_asyncio.fixture
async def hooks(
    request: pytest.FixtureRequest, open_webhook_project: OpenWebhookProject
) -> AsyncIterator[WebhookProject]:
    """Its parameter is how many seconds a receiver may take. It is short only where one hangs: on a slow machine, a
    receiver that answers takes longer too, and gets the event again."""
    webhook_client = HttpWebhookClient(allow_private=True, timeout_seconds=getattr(request, "param", PATIENCE_SECONDS))
    yield await open_webhook_project(webhook_client)
    await webhook_client.close()


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not met():  # noqa: ASYNC110  # the condition depends on other processes
            await asyncio.sleep(0.02)


async def until_async(met: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await met():  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.05)
