"""Queue deliveries of what no trigger announces, in the transaction in which it happens."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.webhooks.models import EventType

ANNOUNCE_MEMORIES_SQL = text("select private.announce_memories(:event_type, :ids)")


async def announce_memories(tx: AsyncSession, event_type: EventType, ids: Sequence[UUID]) -> None:
    await tx.execute(ANNOUNCE_MEMORIES_SQL, {"event_type": event_type, "ids": list(ids)})
