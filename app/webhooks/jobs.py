"""The jobs of webhooks: one delivers an event to a webhook, one deletes old deliveries.

A delivery is read, sent outside a transaction, and its result is recorded. After a failure the receiver gets a
cooldown. Its other deliveries wait without an attempt, so that a receiver that hangs does not delay the others.
"""

import datetime as dt
import time
from uuid import UUID

import structlog
from pydantic_core import to_json
from sqlalchemy import func, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotDelivered
from app.core.jobs import JobContext, RetryWithBackoff, defer, resources_of, tasks
from app.core.resources import Resources
from app.webhooks.models import DeliveryStatus, EventType, Webhook, WebhookDelivery
from app.webhooks.repository import DeliveryRepository, PendingDelivery, WebhookRepository
from app.webhooks.sign import derive_secret, webhook_headers

log = structlog.get_logger()
QUEUE = "webhooks"
"""A separate queue, so that a receiver that hangs does not delay other jobs."""
MAX_ATTEMPTS = 10
MAX_RETRY_SECONDS = 6 * 3600.0
MAX_COOLDOWN_SECONDS = 300.0
PAUSE_AFTER = dt.timedelta(days=3)
OLD_SECRET_VALID_FOR = dt.timedelta(days=1)
DELETE_OLD_DELIVERIES_SQL = text("delete from webhook_deliveries where created_at < now() - interval '30 days'")
EVENT_NAMES = {
    EventType.MEMORY_ADD: "ADD",
    EventType.MEMORY_UPDATE: "UPDATE",
    EventType.MEMORY_DELETE: "DELETE",
    EventType.MEMORY_CATEGORIZE: "CATEGORIZE",
}


async def deliver(resources: Resources, project_id: UUID, delivery_id: UUID) -> None:
    pending = await _load(resources, project_id, delivery_id)
    if pending is None:
        return
    body, timestamp = to_json(pending.body), int(time.time())
    headers = webhook_headers(list(pending.secrets), delivery_id, pending.delivery.event_type, timestamp, body)
    try:
        status = await resources.webhook_client.post(pending.webhook.url, headers, body)
    except NotDelivered as error:
        await _record_failure(resources, pending, error)
    else:
        await _record_success(resources, pending, status)


async def _load(resources: Resources, project_id: UUID, delivery_id: UUID) -> PendingDelivery | None:
    """Return None if it is already delivered, the webhook is paused, or the receiver has a cooldown."""
    async with resources.database.transaction(project_id) as tx:
        delivery = await DeliveryRepository(tx, project_id).find(delivery_id)
        if delivery is None or delivery.status != DeliveryStatus.PENDING:
            return None
        webhook = await WebhookRepository(tx, project_id).get(delivery.webhook_id)
        if not webhook.is_active:
            return None
        if webhook.rests_until and (cooldown := (webhook.rests_until - dt.datetime.now(dt.UTC)).total_seconds()) > 0:
            await queue_delivery(tx, delivery, cooldown)
            return None
        body = await _build_body(tx, delivery)
    return PendingDelivery(delivery, webhook, body, signing_secrets(resources.key_pepper, webhook))


async def _build_body(tx: AsyncSession, delivery: WebhookDelivery) -> dict[str, object]:
    """Send the current content of the memory. A memory that was deleted in the meantime has none."""
    memory = await DeliveryRepository(tx, delivery.project_id).memory_snapshot(delivery.memory_id)
    event = EVENT_NAMES[EventType(delivery.event_type)]
    details: dict[str, object] = {"id": delivery.memory_id, "data": {"memory": memory.content}, "event": event}
    if event == "CATEGORIZE":
        details = {"event": event, "memory_id": delivery.memory_id, "categories": memory.categories}
    entity = {name: getattr(memory, name) for name in ("user_id", "agent_id", "app_id", "run_id")}
    return {
        "event_details": {**details, **{name: value for name, value in entity.items() if value is not None}},
        "event_type": delivery.event_type,
        "delivery_id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "project_id": delivery.project_id,
        "created_at": delivery.created_at,
    }


def signing_secrets(pepper: bytes, webhook: Webhook) -> list[str]:
    """The current secret and, for a day after a rotation, the previous one."""
    version = webhook.secret_version
    is_recent = webhook.rotated_at and dt.datetime.now(dt.UTC) - webhook.rotated_at < OLD_SECRET_VALID_FOR
    return [derive_secret(pepper, webhook.id, each) for each in ((version, version - 1) if is_recent else (version,))]


async def _record_success(resources: Resources, pending: PendingDelivery, status: int) -> None:
    delivery = pending.delivery
    async with resources.database.transaction(delivery.project_id) as tx:
        if await DeliveryRepository(tx, delivery.project_id).find(delivery.id) is None:
            return
        outcome = {
            "status": DeliveryStatus.DELIVERED,
            "delivered_at": func.now(),
            "next_attempt_at": None,
            "error": None,
        }
        await _record_attempt(tx, delivery, status, **outcome)
        await WebhookRepository(tx, delivery.project_id).note_success(delivery.webhook_id)


async def _record_failure(resources: Resources, pending: PendingDelivery, error: NotDelivered) -> None:
    delivery, webhook = pending.delivery, pending.webhook
    first = resources.config.webhook_retry_seconds
    attempts = delivery.attempts + 1
    wait = min(MAX_RETRY_SECONDS, first * 3 ** (attempts - 1))
    cooldown = dt.timedelta(seconds=min(MAX_COOLDOWN_SECONDS, first * 2 ** min(webhook.failures, 10)))
    async with resources.database.transaction(delivery.project_id) as tx:
        if await DeliveryRepository(tx, delivery.project_id).find(delivery.id) is None:
            return
        if attempts >= MAX_ATTEMPTS:
            outcome: dict[str, object] = {"status": DeliveryStatus.FAILED, "next_attempt_at": None}
        else:
            outcome = {"next_attempt_at": func.now() + dt.timedelta(seconds=wait)}
            await queue_delivery(tx, delivery, wait)
        await _record_attempt(tx, delivery, error.status, error=error.reason, **outcome)
        paused = await WebhookRepository(tx, delivery.project_id).note_failure(webhook.id, cooldown, PAUSE_AFTER)
    log.warning("webhook.failed", webhook_id=str(webhook.id), attempts=attempts, status=error.status, paused=paused)


async def _record_attempt(
    tx: AsyncSession, delivery: WebhookDelivery, response_status: int | None, **outcome: object
) -> None:
    attempt = {"attempts": delivery.attempts + 1, "attempted_at": func.now(), "response_status": response_status}
    await DeliveryRepository(tx, delivery.project_id).update(delivery.id, **attempt, **outcome)


async def queue_delivery(tx: AsyncSession, delivery: WebhookDelivery, seconds: float = 0) -> None:
    ids = {"project_id": str(delivery.project_id), "delivery_id": str(delivery.id)}
    await defer(tx, deliver_one, in_seconds=seconds, **ids)


async def redeliver(tx: AsyncSession, delivery: WebhookDelivery) -> None:
    """Start again immediately with all attempts, and end the cooldown of the receiver."""
    reset = {"status": DeliveryStatus.PENDING, "attempts": 0, "next_attempt_at": dt.datetime.now(dt.UTC)}
    await DeliveryRepository(tx, delivery.project_id).update(delivery.id, **reset)
    await WebhookRepository(tx, delivery.project_id).update(delivery.webhook_id, rests_until=None)
    await queue_delivery(tx, delivery)


@tasks.task(name="webhooks.deliver", queue=QUEUE, pass_context=True, retry=RetryWithBackoff(SQLAlchemyError))
async def deliver_one(context: JobContext, project_id: str, delivery_id: str) -> None:
    await deliver(resources_of(context), UUID(project_id), UUID(delivery_id))


@tasks.periodic(cron="41 3 * * *")
@tasks.task(name="webhooks.tidy", pass_context=True, queueing_lock="webhooks.tidy", lock="webhooks.tidy")
async def delete_old_deliveries(context: JobContext, timestamp: int) -> None:
    """Deliveries are kept for 30 days."""
    del timestamp
    async with resources_of(context).database.system() as tx:
        await tx.execute(DELETE_OLD_DELIVERIES_SQL)
