import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import CursorResult, func, text, update

from app.core.database.repository import Repository
from app.core.errors import BadRequest
from app.webhooks.models import DeliveryStatus, Webhook, WebhookDelivery

# A deleted memory has no content any more, but its history still names its entities.
SELECT_PENDING_DELIVERY_SQL = text("""
select d.id, d.project_id, d.webhook_id, d.event_type, d.memory_id, d.details, d.created_at, d.attempts, w.url,
  w.secret_version, w.rotated_at, w.failures, m.content, m.categories, coalesce(m.user_id, h.user_id) as user_id,
  coalesce(m.agent_id, h.agent_id) as agent_id, coalesce(m.app_id, h.app_id) as app_id,
  coalesce(m.run_id, h.run_id) as run_id
from webhook_deliveries d
join webhooks w on w.project_id = d.project_id and w.id = d.webhook_id
left join memories m on m.project_id = d.project_id and m.id = d.memory_id
left join lateral (
  select * from memory_history where project_id = d.project_id and memory_id = d.memory_id and event <> 'REPEAT'
  order by position desc limit 1
) h on true
where d.project_id = :project_id and d.id = :delivery_id and d.status = 'PENDING' and w.is_active
  and (w.rests_until is null or w.rests_until <= now())
""")
RECORD_DELIVERED_SQL = text("""
update webhook_deliveries set status = 'DELIVERED', delivered_at = now(), attempted_at = now(), attempts = attempts + 1,
  response_status = :response_status, next_attempt_at = null, error = null
where project_id = :project_id and id = :delivery_id
""")
# Only of webhooks that were failing, so that successful deliveries do not wait for each other's lock.
RESET_FAILURES_SQL = text("""
update webhooks set failures = 0, failing_since = null, rests_until = null
where project_id = :project_id and id = :webhook_id and failures > 0
""")

MAX_PER_RUN = 20
TRY_LOCK_PROJECT_SQL = text(
    "select pg_try_advisory_xact_lock(hashtextextended('webhooks:' || cast(:project_id as uuid), 0))"
)
SELECT_DUE_DELIVERIES_SQL = text("""
select d.webhook_id, d.id from webhooks w cross join lateral (
  select * from webhook_deliveries d
  where d.project_id = w.project_id and d.webhook_id = w.id and d.status = 'PENDING'
    and (d.next_attempt_at is null or d.next_attempt_at <= now())
  order by d.position limit :limit
) d
where w.project_id = :project_id and w.is_active and (w.rests_until is null or w.rests_until <= now())
order by d.position
""")
SELECT_NEXT_DUE_SQL = text("""
select extract(epoch from min(greatest(d.next_attempt_at, w.rests_until, d.created_at)) - clock_timestamp())::float
from webhooks w join webhook_deliveries d on d.project_id = w.project_id and d.webhook_id = w.id
where w.project_id = :project_id and w.is_active and d.status = 'PENDING'
""")
MAX_WEBHOOKS = 20
LOCK_WEBHOOKS_SQL = text("select pg_advisory_xact_lock(hashtextextended('webhooks of ' || cast(:id as uuid), 0))")


class WebhookRepository(Repository[Webhook]):
    model = Webhook
    noun = "webhook"

    async def all(self) -> list[Webhook]:
        return list(await self.tx.scalars(self.rows.order_by(Webhook.created_at, Webhook.id)))

    async def create(self, **values: Any) -> Webhook:
        """Webhooks beyond the limit that exist already keep working."""
        await self.tx.execute(LOCK_WEBHOOKS_SQL, {"id": self.project_id})
        if len(await self.all()) >= MAX_WEBHOOKS:
            raise BadRequest(
                f"A project can have at most {MAX_WEBHOOKS} webhooks. Delete one, or send more event types to one.",
                code="too_many_webhooks",
            )
        return await self.add(**values)

    async def rotate(self, webhook_id: UUID) -> Webhook:
        version = (await self.get(webhook_id)).secret_version + 1
        return await self.update(webhook_id, secret_version=version, rotated_at=func.now(), updated_at=func.now())

    async def resume(self, webhook_id: UUID) -> Webhook:
        reset = {"failures": 0, "failing_since": None, "rests_until": None, "paused_at": None}
        return await self.update(webhook_id, is_active=True, **reset)

    async def pause(self, webhook_id: UUID) -> Webhook:
        return await self.update(webhook_id, is_active=False, paused_at=func.now())

    async def note_failure(self, webhook_id: UUID, cooldown: dt.timedelta, longest: dt.timedelta) -> bool:
        """Return whether the webhook was paused, because it has failed for `longest` without a success."""
        mine = [*self.mine(), Webhook.id == webhook_id]
        since = func.coalesce(Webhook.failing_since, func.now())
        failing = {"failures": Webhook.failures + 1, "failing_since": since, "rests_until": func.now() + cooldown}
        await self.tx.execute(update(Webhook).where(*mine).values(**failing))
        failing_too_long = update(Webhook).where(*mine, Webhook.is_active, Webhook.failing_since < func.now() - longest)
        result = await self.tx.execute(failing_too_long.values(is_active=False, paused_at=func.now()))
        assert isinstance(result, CursorResult)
        return result.rowcount > 0


class DeliveryRepository(Repository[WebhookDelivery]):
    model = WebhookDelivery
    noun = "delivery"

    async def all_are_committed(self) -> bool:
        """Whether no transaction is open that left its deliveries to the job that is running now."""
        return bool(await self.tx.scalar(TRY_LOCK_PROJECT_SQL, {"project_id": self.project_id}))

    async def due(self) -> Sequence[tuple[UUID, UUID]]:
        """The ids of webhooks and deliveries, the oldest ones of each webhook in order."""
        rows = await self.tx.execute(SELECT_DUE_DELIVERIES_SQL, {"project_id": self.project_id, "limit": MAX_PER_RUN})
        return [(row.webhook_id, row.id) for row in rows]

    async def seconds_until_due(self) -> float | None:
        """Of the delivery that is due next. None if nothing is pending."""
        seconds: float | None = await self.tx.scalar(SELECT_NEXT_DUE_SQL, {"project_id": self.project_id})
        return seconds

    async def make_due(self, webhook_id: UUID) -> None:
        """All pending deliveries of the webhook."""
        mine = (*self.mine(), WebhookDelivery.webhook_id == webhook_id)
        pending = update(WebhookDelivery).where(*mine, WebhookDelivery.status == DeliveryStatus.PENDING)
        await self.tx.execute(pending.values(next_attempt_at=None))

    async def restart(self, delivery: WebhookDelivery) -> None:
        """Start again immediately with all attempts, and end the cooldown of the receiver."""
        reset = {"status": DeliveryStatus.PENDING, "attempts": 0, "next_attempt_at": dt.datetime.now(dt.UTC)}
        await self.update(delivery.id, **reset)
        await WebhookRepository(self.tx, self.project_id).update(delivery.webhook_id, rests_until=None)


class PendingDelivery(NamedTuple):
    """A row of `SELECT_PENDING_DELIVERY_SQL`: everything that sending needs."""

    id: UUID
    project_id: UUID
    webhook_id: UUID
    event_type: str
    memory_id: UUID | None
    details: dict[str, Any] | None
    created_at: dt.datetime
    attempts: int
    url: str
    secret_version: int
    rotated_at: dt.datetime | None
    failures: int
    content: str | None
    categories: list[str] | None
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
