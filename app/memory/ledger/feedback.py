import datetime as dt
import uuid

from sqlalchemy import Text, delete, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel
from app.core.database.repository import Repository
from app.memory.ledger.repository import MemoryRepository


class Feedback(ProjectModel):
    """One opinion on one memory."""

    __tablename__ = "feedback"
    content_columns = ("reason",)
    content_record = "memory_id"

    user_id: Mapped[str | None]
    memory_id: Mapped[uuid.UUID]
    feedback: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class FeedbackRepository(Repository[Feedback]):
    model = Feedback
    noun = "feedback"

    async def put(self, memory_id: uuid.UUID, feedback: str, reason: str | None) -> uuid.UUID:
        """Locking the memory makes sure that two requests at once leave one row."""
        memory = await MemoryRepository(self.tx, self.project_id, self.user_id).lock(memory_id)
        existing: Feedback | None = await self.tx.scalar(self.rows.where(Feedback.memory_id == memory_id))
        values = {"feedback": feedback, "reason": reason}
        if existing is not None:
            return (await self.update(existing.id, **values)).id
        return (await self.add(user_id=memory.user_id, memory_id=memory_id, **values)).id

    async def remove(self, memory_id: uuid.UUID) -> None:
        await MemoryRepository(self.tx, self.project_id, self.user_id).get(memory_id)
        await self.tx.execute(delete(Feedback).where(*self.mine(), Feedback.memory_id == memory_id))
