"""The page's views for developers, used by an owner and by the person they invite."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.webhook_client import HttpWebhookClient
from app.core.resources import Resources
from app.main import create_app
from app.worker import run_jobs
from tests.conftest import SignedUp
from tests.loopback import serve_on_loopback
from tests.patience import PATIENCE_SECONDS
from tests.web.browser import find_browser
from tests.web.test_page import run_script
from tests.webhooks.conftest import with_webhook_client
from tests.webhooks.receiver import Receiver

FAIL_SQL = (
    "update events set status = 'FAILED', error = 'The model was away.', completed_at = now()"
    " where id = cast(:id as uuid)"
)
WAIT_SQL = "update events set status = 'RUNNING', unavailable_since = now() where id = cast(:id as uuid)"
DROP_JOB_SQL = "delete from procrastinate_jobs where args ->> 'event_id' = :id"


async def queue_event(owner: SignedUp, words: str) -> str:
    messages = [{"role": "user", "content": words}]
    added = await owner.client.post("/v3/memories/add/", json={"messages": messages})
    event_id: str = added.json()["event_id"]
    return event_id


async def leave_events(admin_engine: AsyncEngine, owner: SignedUp) -> None:
    """One that failed, and one that waits for the model."""
    failed = await queue_event(owner, "I fly gliders")
    waiting = await queue_event(owner, "I sail")
    async with admin_engine.begin() as connection:
        await connection.execute(text("set local search_path = public, jobs"))
        for sql, event_id in ((DROP_JOB_SQL, failed), (FAIL_SQL, failed), (DROP_JOB_SQL, waiting), (WAIT_SQL, waiting)):
            await connection.execute(text(sql), {"id": event_id})


@asynccontextmanager
async def developer_server(resources: Resources) -> AsyncIterator[str]:
    """Webhooks may reach loopback."""
    client = HttpWebhookClient(allow_private=True, timeout_seconds=PATIENCE_SECONDS)
    own = with_webhook_client(resources, client, allow_private=True)
    async with run_jobs(own, concurrency=2, poll_seconds=0.2), serve_on_loopback(create_app(own)) as url:
        yield url
    await client.close()


async def use_developer_views(
    resources: Resources, admin_engine: AsyncEngine, owner: SignedUp, receiver: Receiver, width: int, scheme: str
) -> dict[str, Any]:
    await leave_events(admin_engine, owner)
    async with developer_server(resources) as url:
        folder = os.environ.get("SCREENSHOTS", "")
        _, output = await run_script(
            "developers.mjs", url, find_browser(), folder, str(width), scheme, owner.email, receiver.url
        )
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found | {"received": [each["event_type"] for each in receiver.accepted]}


async def test_owner_uses_the_views_for_developers(
    resources: Resources, admin_engine: AsyncEngine, owner: SignedUp, receiver: Receiver
) -> None:
    """With axe in every view, hostile text in every field, a receiver that is gone, and a connection that is lost."""
    found = await use_developer_views(resources, admin_engine, owner, receiver, 1280, "light")
    assert found == {"problems": [], "violations": [], "received": ["memory_add", "memory_add"]}


@pytest.mark.long
async def test_views_for_developers_work_on_a_phone_in_the_dark(
    resources: Resources, admin_engine: AsyncEngine, owner: SignedUp, receiver: Receiver
) -> None:
    found = await use_developer_views(resources, admin_engine, owner, receiver, 360, "dark")
    assert found == {"problems": [], "violations": [], "received": ["memory_add", "memory_add"]}
