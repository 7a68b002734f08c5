"""Tell one webhook one thing: read what it is, send it with nothing open, write down what became of it.

A receiver that fails rests for a while: what else there is for it waits without being tried, so that one that hangs
does not keep the others waiting.
"""

import datetime as dt
import time
from uuid import UUID

import structlog
from pydantic_core import to_json
from sqlalchemy import func
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotDelivered
from app.core.jobs import JobContext, TryAgain, defer, resources_of, tasks
from app.core.resources import Resources
from app.webhooks.models import Happening, Status, Webhook, WebhookDelivery
from app.webhooks.repository import DeliveryRepository, Parcel, WebhookRepository
from app.webhooks.sign import headers, secret_of

log = structlog.get_logger()
QUEUE = "webhooks"
"""Worked on apart from everything else, so that a receiver that hangs holds up nothing."""
MOST_TRIES = 10
LONGEST_WAIT = 6 * 3600.0
LONGEST_REST = 300.0
TIRED_AFTER = dt.timedelta(days=3)
OLD_SECRET_FOR = dt.timedelta(days=1)
EVENTS = {
    Happening.MEMORY_ADD: "ADD",
    Happening.MEMORY_UPDATE: "UPDATE",
    Happening.MEMORY_DELETE: "DELETE",
    Happening.MEMORY_CATEGORIZE: "CATEGORIZE",
}


async def deliver(resources: Resources, project_id: UUID, delivery_id: UUID) -> None:
    parcel = await _pack(resources, project_id, delivery_id)
    if parcel is None:
        return
    body, now = to_json(parcel.body), int(time.time())
    named = headers(list(parcel.secrets), delivery_id, parcel.delivery.event_type, now, body)
    try:
        status = await resources.courier.post(parcel.webhook.url, named, body)
    except NotDelivered as error:
        await _failed(resources, parcel, error)
    else:
        await _taken(resources, parcel, status)


async def _pack(resources: Resources, project_id: UUID, delivery_id: UUID) -> Parcel | None:
    """None when there is nothing to do now: told already, not wanted any more, or the receiver rests."""
    async with resources.database.transaction(project_id) as tx:
        delivery = await DeliveryRepository(tx, project_id).find(delivery_id)
        if delivery is None or delivery.status != Status.PENDING:
            return None
        webhook = await WebhookRepository(tx, project_id).get(delivery.webhook_id)
        if not webhook.is_active:
            return None
        if webhook.rests_until and (rest := (webhook.rests_until - dt.datetime.now(dt.UTC)).total_seconds()) > 0:
            await queue(tx, delivery, rest)
            return None
        body = await _describe(tx, delivery)
    return Parcel(delivery, webhook, body, secrets_of(resources.key_pepper, webhook))


async def _describe(tx: AsyncSession, delivery: WebhookDelivery) -> dict[str, object]:
    """The words are those the memory has now: one that was deleted meanwhile has none."""
    told = await DeliveryRepository(tx, delivery.project_id).told(delivery.memory_id)
    event = EVENTS[Happening(delivery.event_type)]
    details: dict[str, object] = {"id": delivery.memory_id, "data": {"memory": told.content}, "event": event}
    if event == "CATEGORIZE":
        details = {"event": event, "memory_id": delivery.memory_id, "categories": told.categories}
    whose = {name: getattr(told, name) for name in ("user_id", "agent_id", "app_id", "run_id")}
    return {
        "event_details": {**details, **{name: value for name, value in whose.items() if value is not None}},
        "event_type": delivery.event_type,
        "delivery_id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "project_id": delivery.project_id,
        "created_at": delivery.created_at,
    }


def secrets_of(pepper: bytes, webhook: Webhook) -> list[str]:
    """For a day after a rotation also the one before."""
    version = webhook.secret_version
    fresh = webhook.rotated_at and dt.datetime.now(dt.UTC) - webhook.rotated_at < OLD_SECRET_FOR
    return [secret_of(pepper, webhook.id, each) for each in ((version, version - 1) if fresh else (version,))]


async def _taken(resources: Resources, parcel: Parcel, status: int) -> None:
    delivery = parcel.delivery
    async with resources.database.transaction(delivery.project_id) as tx:
        if await DeliveryRepository(tx, delivery.project_id).find(delivery.id) is None:
            return
        done = {"status": Status.DELIVERED, "delivered_at": func.now(), "next_attempt_at": None, "error": None}
        await _note(tx, delivery, status, **done)
        await WebhookRepository(tx, delivery.project_id).note_success(delivery.webhook_id)


async def _failed(resources: Resources, parcel: Parcel, error: NotDelivered) -> None:
    delivery, webhook = parcel.delivery, parcel.webhook
    first = resources.values.webhook_retry_seconds
    tries = delivery.attempts + 1
    wait = min(LONGEST_WAIT, first * 3 ** (tries - 1))
    rest = dt.timedelta(seconds=min(LONGEST_REST, first * 2 ** min(webhook.failures, 10)))
    async with resources.database.transaction(delivery.project_id) as tx:
        if await DeliveryRepository(tx, delivery.project_id).find(delivery.id) is None:
            return
        if tries >= MOST_TRIES:
            outcome: dict[str, object] = {"status": Status.FAILED, "next_attempt_at": None}
        else:
            outcome = {"next_attempt_at": func.now() + dt.timedelta(seconds=wait)}
            await queue(tx, delivery, wait)
        await _note(tx, delivery, error.status, error=error.reason, **outcome)
        paused = await WebhookRepository(tx, delivery.project_id).note_failure(webhook.id, rest, TIRED_AFTER)
    log.warning("webhook.failed", webhook_id=str(webhook.id), tries=tries, status=error.status, paused=paused)


async def _note(tx: AsyncSession, delivery: WebhookDelivery, response_status: int | None, **outcome: object) -> None:
    tried = {"attempts": delivery.attempts + 1, "attempted_at": func.now(), "response_status": response_status}
    await DeliveryRepository(tx, delivery.project_id).update(delivery.id, **tried, **outcome)


async def queue(tx: AsyncSession, delivery: WebhookDelivery, seconds: float = 0) -> None:
    ids = {"project_id": str(delivery.project_id), "delivery_id": str(delivery.id)}
    await defer(tx, deliver_one, in_seconds=seconds, **ids)


async def redeliver(tx: AsyncSession, delivery: WebhookDelivery) -> None:
    """From the beginning, and at once, also where the receiver was to rest."""
    anew = {"status": Status.PENDING, "attempts": 0, "next_attempt_at": dt.datetime.now(dt.UTC)}
    await DeliveryRepository(tx, delivery.project_id).update(delivery.id, **anew)
    await WebhookRepository(tx, delivery.project_id).update(delivery.webhook_id, rests_until=None)
    await queue(tx, delivery)


@tasks.task(name="webhooks.deliver", queue=QUEUE, pass_context=True, retry=TryAgain(SQLAlchemyError))
async def deliver_one(context: JobContext, project_id: str, delivery_id: str) -> None:
    await deliver(resources_of(context), UUID(project_id), UUID(delivery_id))
