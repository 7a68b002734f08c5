import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Row, func, text, update

from app.core.database.repository import Repository
from app.webhooks.models import DeliveryStatus, Webhook, WebhookDelivery

# A deleted memory has no content any more, but its history still names its entities.
SELECT_MEMORY_SNAPSHOT_SQL = text("""
select m.content, m.categories, coalesce(m.user_id, h.user_id) as user_id, coalesce(m.agent_id, h.agent_id) as agent_id,
  coalesce(m.app_id, h.app_id) as app_id, coalesce(m.run_id, h.run_id) as run_id
from (values (cast(:memory_id as uuid))) as requested (id)
left join memories m on m.project_id = :project_id and m.id = requested.id
left join lateral (
  select * from memory_history where project_id = :project_id and memory_id = requested.id order by position desc
  limit 1
) h on true
""")


class WebhookRepository(Repository[Webhook]):
    model = Webhook
    noun = "webhook"

    async def all(self) -> list[Webhook]:
        return list(await self.tx.scalars(self.rows.order_by(Webhook.created_at, Webhook.id)))

    async def rotate(self, webhook_id: UUID) -> Webhook:
        version = (await self.get(webhook_id)).secret_version + 1
        return await self.update(webhook_id, secret_version=version, rotated_at=func.now(), updated_at=func.now())

    async def resume(self, webhook_id: UUID) -> Webhook:
        reset = {"failures": 0, "failing_since": None, "rests_until": None, "paused_at": None}
        return await self.update(webhook_id, is_active=True, **reset)

    async def pause(self, webhook_id: UUID) -> Webhook:
        return await self.update(webhook_id, is_active=False, paused_at=func.now())

    async def note_success(self, webhook_id: UUID) -> None:
        """Update only webhooks that were failing, so that successful deliveries do not wait for each other's lock."""
        failing = update(Webhook).where(*self.mine(), Webhook.id == webhook_id, Webhook.failures > 0)
        await self.tx.execute(failing.values(failures=0, failing_since=None, rests_until=None))

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

    async def pending(self, webhook_id: UUID) -> list[WebhookDelivery]:
        query = self.rows.where(
            WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.status == DeliveryStatus.PENDING
        )
        return list(await self.tx.scalars(query))

    async def memory_snapshot(self, memory_id: UUID) -> "Row[Any]":
        values = {"memory_id": memory_id, "project_id": self.project_id}
        return (await self.tx.execute(SELECT_MEMORY_SNAPSHOT_SQL, values)).one()


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """Everything that sending needs, read in one transaction that is closed before the request."""

    delivery: WebhookDelivery
    webhook: Webhook
    body: dict[str, object]
    secrets: Sequence[str]
