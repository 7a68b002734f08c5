"""Queue deliveries of what no trigger announces, in the transaction in which it happens."""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.webhooks.jobs import wake_webhooks
from app.webhooks.models import EventType

ANNOUNCE_MEMORIES_SQL = text("select private.announce_memories(:event_type, :ids)")
INSERT_DELIVERIES_SQL = text("""
insert into webhook_deliveries (project_id, webhook_id, event_type, details)
select w.project_id, w.id, :event_type, cast(:details as jsonb) from webhooks w
where w.project_id = :project_id and w.is_active and :event_type = any (w.event_types)
returning id
""")


async def announce_memories(tx: AsyncSession, event_type: EventType, ids: Sequence[UUID]) -> None:
    await tx.execute(ANNOUNCE_MEMORIES_SQL, {"event_type": event_type, "ids": list(ids)})


async def announce_details(
    tx: AsyncSession, project_id: UUID, event_type: EventType, details: Mapping[str, object]
) -> None:
    """For events that concern no single memory. `details` are ids, names of rules and numbers, never content."""
    values = {"project_id": project_id, "event_type": event_type, "details": json.dumps(details)}
    if (await tx.execute(INSERT_DELIVERIES_SQL, values)).all():
        await wake_webhooks(tx, project_id)
