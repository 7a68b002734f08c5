import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Row, func, text, update

from app.core.database.repository import Repository
from app.webhooks.models import Status, Webhook, WebhookDelivery

# A deleted memory has no words any more: whose it was still stands in its history.
TOLD = text("""
select m.content, m.categories, coalesce(m.user_id, h.user_id) as user_id, coalesce(m.agent_id, h.agent_id) as agent_id,
  coalesce(m.app_id, h.app_id) as app_id, coalesce(m.run_id, h.run_id) as run_id
from (values (cast(:memory_id as uuid))) as wanted (id)
left join memories m on m.project_id = :project_id and m.id = wanted.id
left join lateral (
  select * from memory_history where project_id = :project_id and memory_id = wanted.id order by position desc limit 1
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
        fresh = {"failures": 0, "failing_since": None, "rests_until": None, "paused_at": None}
        return await self.update(webhook_id, is_active=True, **fresh)

    async def pause(self, webhook_id: UUID) -> Webhook:
        return await self.update(webhook_id, is_active=False, paused_at=func.now())

    async def note_success(self, webhook_id: UUID) -> None:
        """Written only where there is something to forget, so that deliveries do not wait for each other."""
        failing = update(Webhook).where(*self.mine(), Webhook.id == webhook_id, Webhook.failures > 0)
        await self.tx.execute(failing.values(failures=0, failing_since=None, rests_until=None))

    async def note_failure(self, webhook_id: UUID, rest: dt.timedelta, longest: dt.timedelta) -> bool:
        """Whether it was paused for it: because it has failed for so long without a success in between."""
        mine = [*self.mine(), Webhook.id == webhook_id]
        since = func.coalesce(Webhook.failing_since, func.now())
        failing = {"failures": Webhook.failures + 1, "failing_since": since, "rests_until": func.now() + rest}
        await self.tx.execute(update(Webhook).where(*mine).values(**failing))
        tired = update(Webhook).where(*mine, Webhook.is_active, Webhook.failing_since < func.now() - longest)
        result = await self.tx.execute(tired.values(is_active=False, paused_at=func.now()))
        assert isinstance(result, CursorResult)
        return result.rowcount > 0


class DeliveryRepository(Repository[WebhookDelivery]):
    model = WebhookDelivery
    noun = "delivery"

    async def waiting(self, webhook_id: UUID) -> list[WebhookDelivery]:
        query = self.rows.where(WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.status == Status.PENDING)
        return list(await self.tx.scalars(query))

    async def told(self, memory_id: UUID) -> "Row[Any]":
        values = {"memory_id": memory_id, "project_id": self.project_id}
        return (await self.tx.execute(TOLD, values)).one()


@dataclass(frozen=True, slots=True)
class Parcel:
    """All that is needed to tell, read while a transaction was open."""

    delivery: WebhookDelivery
    webhook: Webhook
    body: dict[str, object]
    secrets: Sequence[str]
