"""Sends one delivery: it is read, sent outside a transaction, and its result is recorded.

After a failure the receiver gets a cooldown. Its other deliveries wait without an attempt, so that a receiver that
hangs does not delay the others.
"""

import datetime as dt
import time
from uuid import UUID

import structlog
from pydantic_core import to_json
from sqlalchemy import func

from app.core.errors import NotDelivered
from app.core.resources import Resources
from app.webhooks.models import DeliveryStatus, EventType
from app.webhooks.repository import (
    RECORD_DELIVERED_SQL,
    RESET_FAILURES_SQL,
    SELECT_PENDING_DELIVERY_SQL,
    DeliveryRepository,
    PendingDelivery,
    WebhookRepository,
)
from app.webhooks.sign import derive_secret, webhook_headers

log = structlog.get_logger()
MAX_ATTEMPTS = 10
MAX_RETRY_SECONDS = 6 * 3600.0
MAX_COOLDOWN_SECONDS = 300.0
PAUSE_AFTER = dt.timedelta(days=3)
OLD_SECRET_VALID_FOR = dt.timedelta(days=1)
EVENT_NAMES = {
    EventType.MEMORY_ADD: "ADD",
    EventType.MEMORY_UPDATE: "UPDATE",
    EventType.MEMORY_DELETE: "DELETE",
    EventType.MEMORY_CATEGORIZE: "CATEGORIZE",
    EventType.MEMORY_ARCHIVE: "ARCHIVE",
    EventType.MEMORY_RESTORE: "RESTORE",
    EventType.MEMORY_SUPERSEDE: "SUPERSEDE",
    EventType.RETENTION_RUN: "RETENTION_RUN",
}
ENTITIES = ("user_id", "agent_id", "app_id", "run_id")


async def deliver(resources: Resources, project_id: UUID, delivery_id: UUID) -> bool:
    """Return whether the receiver accepts more deliveries. Do nothing if the delivery is delivered already, its webhook
    is paused, or the receiver has a cooldown."""
    values = {"project_id": project_id, "delivery_id": delivery_id}
    rows = await resources.database.pipeline(project_id, None, (SELECT_PENDING_DELIVERY_SQL, values))
    if not rows:
        return True
    pending = PendingDelivery._make(rows[0])
    body, timestamp = to_json(build_body(pending)), int(time.time())
    secrets = signing_secrets(resources.key_pepper, pending)
    headers = webhook_headers(secrets, pending.id, pending.event_type, timestamp, body)
    try:
        status = await resources.webhook_client.post(pending.url, headers, body)
    except NotDelivered as error:
        await _record_failure(resources, pending, error)
        return False
    await _record_success(resources, pending, status)
    return True


def build_body(pending: PendingDelivery) -> dict[str, object]:
    """Send the current content of the memory. A memory that was deleted in the meantime has none."""
    event = EVENT_NAMES[EventType(pending.event_type)]
    details: dict[str, object] = {"id": pending.memory_id, "data": {"memory": pending.content}, "event": event}
    if event == "CATEGORIZE":
        details = {"event": event, "memory_id": pending.memory_id, "categories": pending.categories}
    if pending.details is not None:
        details = {"event": event, **pending.details}
    entity = {name: getattr(pending, name) for name in ENTITIES}
    return {
        "event_details": {**details, **{name: value for name, value in entity.items() if value is not None}},
        "event_type": pending.event_type,
        "delivery_id": pending.id,
        "webhook_id": pending.webhook_id,
        "project_id": pending.project_id,
        "created_at": pending.created_at,
    }


def signing_secrets(pepper: bytes, pending: PendingDelivery) -> list[str]:
    """The current secret and, for a day after a rotation, the previous one."""
    version = pending.secret_version
    is_recent = pending.rotated_at and dt.datetime.now(dt.UTC) - pending.rotated_at < OLD_SECRET_VALID_FOR
    versions = (version, version - 1) if is_recent else (version,)
    return [derive_secret(pepper, pending.webhook_id, each) for each in versions]


async def _record_success(resources: Resources, pending: PendingDelivery, status: int) -> None:
    ids = {"project_id": pending.project_id, "delivery_id": pending.id, "webhook_id": pending.webhook_id}
    recorded = (RECORD_DELIVERED_SQL, {**ids, "response_status": status})
    await resources.database.pipeline(pending.project_id, None, recorded, (RESET_FAILURES_SQL, ids))


async def _record_failure(resources: Resources, pending: PendingDelivery, error: NotDelivered) -> None:
    first = resources.config.webhook_retry_seconds
    attempts = pending.attempts + 1
    wait = min(MAX_RETRY_SECONDS, first * 3 ** (attempts - 1))
    cooldown = dt.timedelta(seconds=min(MAX_COOLDOWN_SECONDS, first * 2 ** min(pending.failures, 10)))
    outcome: dict[str, object] = {"next_attempt_at": func.now() + dt.timedelta(seconds=wait)}
    if attempts >= MAX_ATTEMPTS:
        outcome = {"status": DeliveryStatus.FAILED, "next_attempt_at": None}
    async with resources.database.transaction(pending.project_id) as tx:
        deliveries = DeliveryRepository(tx, pending.project_id)
        if await deliveries.find(pending.id) is None:
            return
        attempt = {"attempts": attempts, "attempted_at": func.now(), "response_status": error.status}
        await deliveries.update(pending.id, **attempt, error=error.reason, **outcome)
        webhooks = WebhookRepository(tx, pending.project_id)
        paused = await webhooks.note_failure(pending.webhook_id, cooldown, PAUSE_AFTER)
    log.warning(
        "webhook.failed", webhook_id=str(pending.webhook_id), attempts=attempts, status=error.status, paused=paused
    )
