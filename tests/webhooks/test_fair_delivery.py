"""Webhooks of one project cost the others little: limits, jobs, order and turns."""

import asyncio
import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.webhook_client import HttpWebhookClient
from app.core.database.database import Database
from app.webhooks.deliver import deliver
from app.webhooks.jobs import ProjectRun, deliver_due
from app.webhooks.repository import MAX_PER_RUN, MAX_WEBHOOKS, WebhookRepository
from tests.conftest import SignUp
from tests.patience import PATIENCE_SECONDS
from tests.webhooks.conftest import OpenWebhookProject, WebhookProject, until
from tests.webhooks.receiver import HANGS, Receiver, open_receiver

TAKE_JOBS_SQL = text("delete from jobs.procrastinate_jobs where lock = 'webhooks:' || cast(:id as uuid)")
JOBS_OF_PROJECT = text("select count(*) from jobs.procrastinate_jobs where lock = 'webhooks:' || cast(:id as uuid)")


async def jobs_of(database: Database, project_id: uuid.UUID) -> int:
    async with database.system() as tx:
        return int(await tx.scalar(JOBS_OF_PROJECT, {"id": project_id}) or 0)


async def test_project_has_a_limited_number_of_webhooks(
    hooks: WebhookProject, receiver: Receiver, admin_engine: AsyncEngine
) -> None:
    for _ in range(MAX_WEBHOOKS - 1):
        await hooks.hook(receiver.url, "memory_add")
    async with admin_engine.begin() as tx:  # from a time without the limit
        more = "insert into webhooks (project_id, name, url, event_types) values (:id, 'Old', :url, '{memory_add}')"
        for _ in range(2):
            await tx.execute(text(more), {"id": hooks.project_uuid, "url": receiver.url})
    body = {"url": receiver.url, "name": "Hook", "event_types": ["memory_add"]}
    refused = await hooks.client.post(f"/api/v1/webhooks/projects/{hooks.project_id}/", json=body)
    assert (refused.status_code, refused.json()["code"]) == (400, "too_many_webhooks")
    assert f"at most {MAX_WEBHOOKS} webhooks" in refused.json()["detail"]
    async with hooks.jobs():
        await hooks.remember("I like tea")
        await until(lambda: len(receiver.accepted) == MAX_WEBHOOKS + 1)


async def test_webhooks_that_are_created_at_once_do_not_exceed_the_number(
    hooks: WebhookProject, receiver: Receiver, database: Database
) -> None:
    values = {"url": receiver.url, "name": "Hook", "event_types": ["memory_add"]}
    async with database.transaction(hooks.project_uuid) as tx:
        for _ in range(MAX_WEBHOOKS):
            await WebhookRepository(tx, hooks.project_uuid).create(**values)
        one_more = asyncio.create_task(hooks.client.post(f"/api/v1/webhooks/projects/{hooks.project_id}/", json=values))
        await asyncio.wait([one_more], timeout=1)
    assert (await one_more).json()["code"] == "too_many_webhooks"


async def test_run_sends_a_bounded_number_and_leaves_the_rest_to_the_next(
    hooks: WebhookProject, receiver: Receiver, database: Database
) -> None:
    await hooks.hook(receiver.url, "memory_add")
    await hooks.remember(*(f"I like tea number {number}" for number in range(MAX_PER_RUN + 5)))
    await deliver_due(hooks.resources, hooks.project_uuid)
    assert len(receiver.accepted) == MAX_PER_RUN
    assert await jobs_of(database, hooks.project_uuid) == 1
    await deliver_due(hooks.resources, hooks.project_uuid)
    assert len(receiver.accepted) == MAX_PER_RUN + 5


async def test_many_deliveries_are_one_job_and_arrive_in_order(
    hooks: WebhookProject, receiver: Receiver, database: Database
) -> None:
    await hooks.hook(receiver.url, "memory_add")
    async with open_receiver() as other:
        await hooks.hook(other.url, "memory_add")
        memories = [await hooks.remember(*(f"I like tea {number}{each}" for each in "abcde")) for number in range(5)]
        assert await jobs_of(database, hooks.project_uuid) == 1
        async with hooks.jobs():
            await until(lambda: len(receiver.accepted) == len(other.accepted) == 25)
        for each in (receiver, other):
            sent = [body["event_details"]["id"] for body in each.accepted]
            assert [set(sent[start : start + 5]) for start in range(0, 25, 5)] == [set(added) for added in memories]


async def test_project_with_many_slow_receivers_does_not_delay_another(
    hooks: WebhookProject, open_webhook_project: OpenWebhookProject, sign_up: SignUp, receiver: Receiver
) -> None:
    """Before, eight hanging requests occupied all workers, and 600 jobs stood before that of the neighbour."""
    patient = HttpWebhookClient(allow_private=True, timeout_seconds=PATIENCE_SECONDS)
    slow = await open_webhook_project(patient, project=hooks.project_uuid)
    neighbour = await open_webhook_project(patient, project=(await sign_up()).project_id)
    async with open_receiver() as stuck:
        stuck.usual = HANGS
        for _ in range(15):
            await slow.hook(stuck.url, "memory_add")
        await slow.remember(*(f"I like tea number {number}" for number in range(40)))
        await neighbour.hook(receiver.url, "memory_add")
        async with neighbour.jobs():
            await until(lambda: stuck.requests > 0)
            await neighbour.remember("I like milk")
            await until(lambda: len(receiver.accepted) == 1)
            assert stuck.requests <= 2
    await patient.close()


async def test_delivery_of_a_memory_that_is_committed_while_the_job_runs_is_not_forgotten(
    hooks: WebhookProject, receiver: Receiver, database: Database
) -> None:
    await hooks.hook(receiver.url, "memory_add")
    [memory] = await hooks.remember("I like tea")
    more = text(
        "insert into webhook_deliveries (project_id, webhook_id, event_type, memory_id)"
        " select project_id, id, 'memory_add', :memory from webhooks"
    )
    wake = text("select private.wake_webhooks(:id, 0)")
    async with database.transaction(hooks.project_uuid) as tx:
        await tx.execute(more, {"memory": memory})
        await tx.execute(wake, {"id": hooks.project_uuid})  # finds the job of the first delivery
        assert await jobs_of(database, hooks.project_uuid) == 1
        async with database.system() as system:  # a worker takes that job
            taken = "delete from jobs.procrastinate_jobs where lock = 'webhooks:' || cast(:id as uuid)"
            await system.execute(text(taken), {"id": hooks.project_uuid})
        await deliver_due(hooks.resources, hooks.project_uuid)
        assert len(receiver.accepted) == 1
        assert await jobs_of(database, hooks.project_uuid) == 1, "it looks again when this is committed"
    async with hooks.jobs():
        await until(lambda: len(receiver.accepted) == 2)


async def test_delivered_event_is_not_sent_twice(hooks: WebhookProject, receiver: Receiver) -> None:
    hook = await hooks.hook(receiver.url, "memory_add")
    await hooks.remember("I like tea")
    [delivery] = await hooks.deliveries(hook)
    for _ in range(2):
        await deliver(hooks.resources, hooks.project_uuid, uuid.UUID(delivery["id"]))
        await deliver_due(hooks.resources, hooks.project_uuid)
    assert receiver.requests == 1


async def test_paused_webhook_receives_nothing_that_was_queued_before(
    hooks: WebhookProject, receiver: Receiver
) -> None:
    hook = await hooks.hook(receiver.url, "memory_add")
    await hooks.remember("I like tea")
    [delivery] = await hooks.deliveries(hook)
    paused = await hooks.client.put(f"/api/v1/webhooks/{hook['webhook_id']}/", json={"is_active": False})
    assert paused.status_code == 200
    await deliver(hooks.resources, hooks.project_uuid, uuid.UUID(delivery["id"]))
    await deliver_due(hooks.resources, hooks.project_uuid)
    assert receiver.requests == 0
    await hooks.client.put(f"/api/v1/webhooks/{hook['webhook_id']}/", json={"is_active": True})
    async with hooks.jobs():
        await until(lambda: len(receiver.accepted) == 1)


async def test_pauses_after_failures_grow(hooks: WebhookProject, receiver: Receiver, database: Database) -> None:
    receiver.usual = 500
    hook = await hooks.hook(receiver.url, "memory_add")
    await hooks.remember("I like tea")
    [delivery] = await hooks.deliveries(hook)
    pauses = text(
        "select extract(epoch from d.next_attempt_at - d.attempted_at),"
        " extract(epoch from w.rests_until - d.attempted_at)"
        " from webhook_deliveries d join webhooks w on w.id = d.webhook_id"
    )
    seen = []
    for _ in range(4):
        assert not await deliver(hooks.resources, hooks.project_uuid, uuid.UUID(delivery["id"]))
        async with database.transaction(hooks.project_uuid) as tx:
            seen.append(tuple(map(float, (await tx.execute(pauses)).one())))
            await tx.execute(text("update webhooks set rests_until = null"))
    first = hooks.resources.config.webhook_retry_seconds
    expected = [(first * 3**number, first * 2**number) for number in range(4)]
    assert seen == [pytest.approx(each, rel=0.01) for each in expected]


async def test_job_of_the_previous_version_wakes_the_project(
    hooks: WebhookProject, receiver: Receiver, database: Database
) -> None:
    await hooks.hook(receiver.url, "memory_add")
    await hooks.remember("I like tea")
    async with database.system() as tx:
        old = (
            "update jobs.procrastinate_jobs set lock = null, args = args || jsonb_build_object('delivery_id', id)"
            " where lock = 'webhooks:' || cast(:id as uuid)"
        )
        await tx.execute(text(old), {"id": hooks.project_uuid})
    async with hooks.jobs():
        await until(lambda: len(receiver.accepted) == 1)


async def test_failed_job_is_replaced(hooks: WebhookProject, receiver: Receiver, database: Database) -> None:
    """By `webhooks.wake_left`, which finds the project."""
    await hooks.hook(receiver.url, "memory_add")
    await hooks.remember("I like tea")
    async with database.system() as tx:
        gone = "delete from jobs.procrastinate_jobs where lock = 'webhooks:' || cast(:id as uuid)"
        await tx.execute(text(gone), {"id": hooks.project_uuid})
        defer = (
            "select jobs.procrastinate_defer_jobs_v1(array[row('default', 'webhooks.wake_left', 0, null, null,"
            " '{\"timestamp\": 0}', null)::jobs.procrastinate_job_to_defer_v1])"
        )
        await tx.execute(text(defer.replace(":jobs", "\\:jobs")))
    async with hooks.jobs():
        await until(lambda: len(receiver.accepted) == 1)


async def test_new_memory_is_delivered_although_the_job_of_its_project_waits_for_a_retry(
    hooks: WebhookProject, receiver: Receiver, database: Database
) -> None:
    await hooks.hook(receiver.url, "memory_add")
    async with database.system() as tx:
        await tx.execute(text("select private.wake_webhooks(:id, 3600)"), {"id": hooks.project_uuid})
    await hooks.remember("I like tea")
    assert await jobs_of(database, hooks.project_uuid) == 1
    async with hooks.jobs():
        await until(lambda: len(receiver.accepted) == 1)


async def test_run_ends_after_its_time(hooks: WebhookProject, receiver: Receiver) -> None:
    hook = await hooks.hook(receiver.url, "memory_add")
    await hooks.remember("I like tea", "I like milk")
    due = [uuid.UUID(each["id"]) for each in await hooks.deliveries(hook)]
    await ProjectRun(hooks.resources, hooks.project_uuid, seconds=-1).deliver_in_order(due)
    assert receiver.requests == 0
    await ProjectRun(hooks.resources, hooks.project_uuid).deliver_in_order(due)
    assert receiver.requests == 2


async def test_webhook_whose_delivery_cannot_be_recorded_does_not_stop_the_others(
    hooks: WebhookProject, receiver: Receiver, database: Database, admin_engine: AsyncEngine
) -> None:
    broken, _ = await hooks.hook(receiver.url, "memory_add"), await hooks.hook(f"{receiver.url}?second", "memory_add")
    await hooks.remember("I like tea")
    condition = f"webhook_id <> '{broken['webhook_id']}'"
    refuse = f"alter table webhook_deliveries add constraint broken check ({condition}) not valid"
    async with admin_engine.begin() as tx:
        await tx.execute(text(refuse))
    async with database.system() as tx:
        await tx.execute(TAKE_JOBS_SQL, {"id": hooks.project_uuid})
    try:
        with pytest.raises(IntegrityError):
            await deliver_due(hooks.resources, hooks.project_uuid)
    finally:
        async with admin_engine.begin() as tx:
            await tx.execute(text("alter table webhook_deliveries drop constraint broken"))
    assert receiver.requests == 2
    assert await jobs_of(database, hooks.project_uuid) == 1, "another run sends the rest"
