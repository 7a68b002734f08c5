"""Finished events are deleted after a while; unfinished ones and those still needed are kept."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import httpx
import pytest

from app.core.jobs import defer
from app.core.resources import Resources
from app.memory.ledger import delete_old_events, record_event
from app.memory.ledger.jobs import delete_old_events_daily
from app.memory.namespace import Namespace
from app.worker import run_jobs
from tests.memory.namespaces import create_namespace, execute_sql
from tests.patience import PATIENCE_SECONDS

AGED = (
    "update events set status = :status, created_at = now() - make_interval(days => :begun),"
    " completed_at = now() - make_interval(days => :over) where id = :id"
)
JOB = (
    "insert into portrait_jobs (project_id, user_id, operation, idempotency_key, event_ids)"
    " values (:project_id, 'ann', 'trigger', :key, array[cast(:id as uuid)])"
)


async def event(
    resources: Resources,
    namespace: Namespace,
    begun: int,
    over: int | None = None,
    *,
    status: str = "SUCCEEDED",
    event_type: str = "ADD",
) -> UUID:
    """An event that began and ended so many days ago."""
    event_id = uuid4()
    async with resources.database.transaction(namespace.project_id) as tx:
        await record_event(tx, namespace, event_id, event_type, done=True)
    await execute_sql(resources, namespace, AGED, id=event_id, status=status, begun=begun, over=over)
    return event_id


async def shown(client: httpx.AsyncClient) -> set[UUID]:
    return {UUID(each["id"]) for each in (await client.get("/v1/events/")).json()["results"]}


async def test_events_finished_a_month_ago_are_deleted(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace
) -> None:
    for status in ("SUCCEEDED", "FAILED"):
        await event(resources, namespace, 32, 31, status=status)
    kept = {await event(resources, namespace, 29, 29), await event(resources, namespace, 32, 29, status="FAILED")}
    await delete_old_events(resources)
    assert await shown(client) == kept


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
async def test_unfinished_events_are_kept_at_any_age(
    status: str, client: httpx.AsyncClient, resources: Resources, namespace: Namespace
) -> None:
    kept = {await event(resources, namespace, 400, over, status=status) for over in (None, 399)}
    await delete_old_events(resources)
    assert await shown(client) == kept


async def test_retention_period_is_a_setting(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace
) -> None:
    kept = {await event(resources, namespace, 20_000, 20_000)}
    await delete_old_events(replace(resources, config=replace(resources.config, events_kept_days=20_001)))
    assert await shown(client) == kept
    await delete_old_events(replace(resources, config=replace(resources.config, events_kept_days=19_999)))
    assert await shown(client) == set()


async def test_events_are_deleted_in_batches(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace
) -> None:
    for number in range(5):
        await event(resources, namespace, 300 + number, 300)
    assert await delete_old_events(resources, batch_size=2) >= 5
    assert await shown(client) == set()


async def test_memories_of_deleted_events_stay(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace
) -> None:
    body = {"messages": "I like tea", "user_id": "ann", "infer": False}
    [added] = (await client.post("/v3/memories/add/", json=body)).json()["results"]
    [old] = await shown(client)
    await execute_sql(resources, namespace, AGED, id=old, status="SUCCEEDED", begun=31, over=31)
    await delete_old_events(resources)
    assert (await client.get(f"/v1/event/{old}/")).status_code == 404
    assert (await client.get(f"/v1/memories/{added['id']}/")).json()["memory"] == "I like tea"
    [change] = (await client.get("/v1/memories/events/")).json()["results"]
    assert change["new_memory"] == "I like tea"


async def test_last_user_profile_event_is_kept(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace, project_id: UUID
) -> None:
    """Clients see it, and it decides when the user profile is generated again."""
    ben = await create_namespace(resources, project_id, "ben")
    await event(resources, namespace, 50, 50, event_type="PROFILE")
    last = {await event(resources, each, 40, 40, event_type="PROFILE", status="FAILED") for each in (namespace, ben)}
    await delete_old_events(resources)
    assert await shown(client) == last


async def test_events_of_a_stored_job_are_kept(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace, project_id: UUID
) -> None:
    job = await event(resources, namespace, 50, 50, event_type="PROFILE")
    last = await event(resources, namespace, 40, 40, event_type="PROFILE")
    await execute_sql(resources, namespace, JOB, project_id=project_id, key=str(job), id=job)
    await delete_old_events(resources)
    assert await shown(client) == {job, last}


async def test_daily_job_deletes_old_events(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace
) -> None:
    await event(resources, namespace, 31, 31)
    async with run_jobs(resources, concurrency=1, poll_seconds=0.1), asyncio.timeout(PATIENCE_SECONDS):
        async with resources.database.system() as tx:
            await defer(tx, delete_old_events_daily, timestamp=0)
        while await shown(client):  # noqa: ASYNC110  # a job deletes it
            await asyncio.sleep(0.05)
