"""What was asked of the memory engine and how it went. Results name memories by id: their words are looked up here."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select

from app.core.database.repository import Repository
from app.core.errors import NotFound
from app.memory.ledger.models import MemoryEvent, MemoryHistory


class EventRepository(Repository[MemoryEvent]):
    model = MemoryEvent
    noun = "event"

    async def part(self, where: Sequence[ColumnElement[bool]], page: int, size: int) -> tuple[int, list[MemoryEvent]]:
        """Newest first, and how many there are in all."""
        query = self.rows.where(*where).order_by(MemoryEvent.created_at.desc(), MemoryEvent.id.desc())
        rows = list(await self.tx.scalars(query.limit(size).offset((page - 1) * size)))
        count = select(func.count()).select_from(MemoryEvent).where(*self.mine(), *where)
        return await self.tx.scalar(count) or 0, rows

    async def read(self, event_id: UUID) -> MemoryEvent:
        row = await self.find(event_id)
        if row is None:
            raise NotFound("Event not found. The requested event does not exist, or belongs to another project")
        return row


class HistoryRepository(Repository[MemoryHistory]):
    model = MemoryHistory
    noun = "history"

    async def of(self, memory_id: UUID) -> list[MemoryHistory]:
        query = self.rows.where(MemoryHistory.memory_id == memory_id).order_by(MemoryHistory.position)
        return list(await self.tx.scalars(query))

    async def part(self, page: int, size: int) -> tuple[int, list[MemoryHistory]]:
        query = self.rows.order_by(MemoryHistory.position.desc()).limit(size).offset((page - 1) * size)
        count = await self.tx.scalar(select(func.count()).select_from(MemoryHistory).where(*self.mine()))
        return count or 0, list(await self.tx.scalars(query))
