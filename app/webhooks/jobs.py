"""The jobs of webhooks. One delivers what is due to the webhooks of a project, one deletes old deliveries.

A project has one such job at a time, which delivers for a limited time and then goes to the end of the queue. So the
projects take turns, however many deliveries one of them has, and however slow its receivers are.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs import JobContext, RetryWithBackoff, defer_for_each_project, resources_of, tasks
from app.core.resources import Resources
from app.webhooks.deliver import deliver
from app.webhooks.repository import DeliveryRepository

QUEUE = "webhooks"
"""A separate queue, so that a receiver that hangs does not delay other jobs."""
WEBHOOKS_AT_ONCE = 2
"""Of one project. The deliveries of one webhook follow each other."""
SECONDS_PER_DELIVERY = 0.02
"""To one webhook, so that deliveries to a fast receiver leave the processor to others."""
RUN_SECONDS = 5.0
SECONDS_TO_COMMIT = 1.0
"""When to look again for deliveries that were not committed yet when a run began."""
WAKE_WEBHOOKS_SQL = text("select private.wake_webhooks(:project_id, :seconds)")
SELECT_LEFT_PROJECTS_SQL = text("""
select distinct d.project_id from webhook_deliveries d join webhooks w on w.id = d.webhook_id and w.is_active
where d.status = 'PENDING' and (d.next_attempt_at is null or d.next_attempt_at <= now()) limit 1000
""")
DELETE_OLD_DELIVERIES_SQL = text("delete from webhook_deliveries where created_at < now() - interval '30 days'")


async def wake_webhooks(tx: AsyncSession, project_id: UUID, seconds: float = 0) -> None:
    """Queue the job of the project, unless it waits already. The triggers of memories do the same."""
    await tx.execute(WAKE_WEBHOOKS_SQL, {"project_id": project_id, "seconds": seconds})


async def deliver_due(resources: Resources, project_id: UUID) -> None:
    """One run: deliver a part of what is due, then queue the next run for the rest."""
    async with resources.database.transaction(project_id) as tx:
        deliveries = DeliveryRepository(tx, project_id)
        is_complete = await deliveries.all_are_committed()
        due = await deliveries.due()
    by_webhook: dict[UUID, list[UUID]] = defaultdict(list)
    for webhook_id, delivery_id in due:
        by_webhook[webhook_id].append(delivery_id)
    run = ProjectRun(resources, project_id)
    outcomes = await asyncio.gather(*map(run.deliver_in_order, by_webhook.values()), return_exceptions=True)
    async with resources.database.transaction(project_id) as tx:
        waits = [
            await DeliveryRepository(tx, project_id).seconds_until_due(),
            None if is_complete else SECONDS_TO_COMMIT,
        ]
        if known := [seconds for seconds in waits if seconds is not None]:
            await wake_webhooks(tx, project_id, max(0.0, min(known)))
    for failed in outcomes:
        if isinstance(failed, BaseException):
            raise failed


class ProjectRun:
    def __init__(self, resources: Resources, project_id: UUID, *, seconds: float = RUN_SECONDS) -> None:
        self._resources = resources
        self._project_id = project_id
        self._ends_at = time.monotonic() + seconds
        self._slots = asyncio.Semaphore(WEBHOOKS_AT_ONCE)

    async def deliver_in_order(self, delivery_ids: Sequence[UUID]) -> None:
        async with self._slots:
            for delivery_id in delivery_ids:
                started_at = time.monotonic()
                if started_at > self._ends_at or not await deliver(self._resources, self._project_id, delivery_id):
                    return
                await asyncio.sleep(max(0.0, started_at + SECONDS_PER_DELIVERY - time.monotonic()))


@tasks.task(name="webhooks.deliver", queue=QUEUE, pass_context=True, retry=RetryWithBackoff(SQLAlchemyError))
async def deliver_to_project(context: JobContext, project_id: str, delivery_id: str | None = None) -> None:
    """Jobs of the previous version have a `delivery_id` and no lock."""
    resources, project = resources_of(context), UUID(project_id)
    if delivery_id is None:
        await deliver_due(resources, project)
        return
    async with resources.database.transaction(project) as tx:
        await wake_webhooks(tx, project)


@tasks.periodic(cron="* * * * *")
@tasks.task(name="webhooks.wake_left", pass_context=True, queueing_lock="webhooks.wake_left", lock="webhooks.wake_left")
async def wake_left_behind(context: JobContext, timestamp: int) -> None:
    """Finds deliveries whose job failed."""
    del timestamp
    await defer_for_each_project(context, SELECT_LEFT_PROJECTS_SQL, wake_webhooks)


@tasks.periodic(cron="41 3 * * *")
@tasks.task(name="webhooks.tidy", pass_context=True, queueing_lock="webhooks.tidy", lock="webhooks.tidy")
async def delete_old_deliveries(context: JobContext, timestamp: int) -> None:
    """Deliveries are kept for 30 days."""
    del timestamp
    async with resources_of(context).database.system() as tx:
        await tx.execute(DELETE_OLD_DELIVERIES_SQL)
