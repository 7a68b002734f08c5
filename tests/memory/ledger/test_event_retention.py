"""What is over is forgotten after a while. What is not, or is still needed, is not."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import httpx
import pytest

from app.core.jobs import defer
from app.core.resources import Resources
from app.memory.ledger.event_retention import forget_events, forget_events_daily
from app.memory.ledger.repository import record_event
from app.memory.namespace import Namespace
from app.worker import run_jobs
from tests.memory.namespaces import execute, move_in

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
    home: Namespace,
    begun: int,
    over: int | None = None,
    *,
    status: str = "SUCCEEDED",
    event_type: str = "ADD",
) -> UUID:
    """One that was begun and was over so many days ago."""
    event_id = uuid4()
    async with resources.database.transaction(home.project_id) as tx:
        await record_event(tx, home, event_id, event_type, done=True)
    await execute(resources, home, AGED, id=event_id, status=status, begun=begun, over=over)
    return event_id


async def shown(client: httpx.AsyncClient) -> set[UUID]:
    return {UUID(each["id"]) for each in (await client.get("/v1/events/")).json()["results"]}


async def test_what_was_over_a_month_ago_is_forgotten(
    client: httpx.AsyncClient, resources: Resources, home: Namespace
) -> None:
    for status in ("SUCCEEDED", "FAILED"):
        await event(resources, home, 32, 31, status=status)
    kept = {await event(resources, home, 29, 29), await event(resources, home, 32, 29, status="FAILED")}
    await forget_events(resources)
    assert await shown(client) == kept


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
async def test_what_is_not_over_is_kept_however_old_it_is(
    status: str, client: httpx.AsyncClient, resources: Resources, home: Namespace
) -> None:
    kept = {await event(resources, home, 400, over, status=status) for over in (None, 399)}
    await forget_events(resources)
    assert await shown(client) == kept


async def test_how_long_is_a_setting(client: httpx.AsyncClient, resources: Resources, home: Namespace) -> None:
    kept = {await event(resources, home, 20_000, 20_000)}
    await forget_events(replace(resources, values=replace(resources.values, events_kept_days=20_001)))
    assert await shown(client) == kept
    await forget_events(replace(resources, values=replace(resources.values, events_kept_days=19_999)))
    assert await shown(client) == set()


async def test_a_year_of_them_goes_little_by_little(
    client: httpx.AsyncClient, resources: Resources, home: Namespace
) -> None:
    for number in range(5):
        await event(resources, home, 300 + number, 300)
    assert await forget_events(resources, at_once=2) >= 5
    assert await shown(client) == set()


async def test_what_came_of_it_stays(client: httpx.AsyncClient, resources: Resources, home: Namespace) -> None:
    said = {"messages": "I like tea", "user_id": "ann", "infer": False}
    [added] = (await client.post("/v3/memories/add/", json=said)).json()["results"]
    [old] = await shown(client)
    await execute(resources, home, AGED, id=old, status="SUCCEEDED", begun=31, over=31)
    await forget_events(resources)
    assert (await client.get(f"/v1/event/{old}/")).status_code == 404
    assert (await client.get(f"/v1/memories/{added['id']}/")).json()["memory"] == "I like tea"
    [change] = (await client.get("/v1/memories/events/")).json()["results"]
    assert change["new_memory"] == "I like tea"


async def test_how_the_last_user_profile_went_stays_known(
    client: httpx.AsyncClient, resources: Resources, home: Namespace, project_id: UUID
) -> None:
    """It is shown, and says how many memories there must be before it is tried again."""
    ben = await move_in(resources, project_id, "ben")
    await event(resources, home, 50, 50, event_type="PROFILE")
    last = {await event(resources, each, 40, 40, event_type="PROFILE", status="FAILED") for each in (home, ben)}
    await forget_events(resources)
    assert await shown(client) == last


async def test_a_job_that_is_known_still_counts_its_events(
    client: httpx.AsyncClient, resources: Resources, home: Namespace, project_id: UUID
) -> None:
    job = await event(resources, home, 50, 50, event_type="PROFILE")
    last = await event(resources, home, 40, 40, event_type="PROFILE")
    await execute(resources, home, JOB, project_id=project_id, key=str(job), id=job)
    await forget_events(resources)
    assert await shown(client) == {job, last}


async def test_it_is_done_by_a_job(client: httpx.AsyncClient, resources: Resources, home: Namespace) -> None:
    await event(resources, home, 31, 31)
    async with run_jobs(resources, concurrency=1, look_every_seconds=0.1), asyncio.timeout(20):
        async with resources.database.system() as tx:
            await defer(tx, forget_events_daily, timestamp=0)
        while await shown(client):  # noqa: ASYNC110  # a job takes it away
            await asyncio.sleep(0.05)
