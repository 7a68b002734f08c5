"""What people thought of a memory: one opinion each, taken back with a null."""

import datetime as dt
import uuid

from sqlalchemy import Text, delete, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel
from app.core.database.repository import Repository
from app.memory.ledger.repository import MemoryRepository


class Feedback(ProjectModel):
    __tablename__ = "feedback"

    user_id: Mapped[str | None]
    memory_id: Mapped[uuid.UUID]
    feedback: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class FeedbackRepository(Repository[Feedback]):
    model = Feedback
    noun = "feedback"

    async def give(self, memory_id: uuid.UUID, feedback: str, reason: str | None) -> uuid.UUID:
        """The memory's lock makes sure that two who speak at once leave one opinion."""
        memory = await MemoryRepository(self.tx, self.project_id, self.user_id).locked(memory_id)
        given: Feedback | None = await self.tx.scalar(self.rows.where(Feedback.memory_id == memory_id))
        opinion = {"feedback": feedback, "reason": reason}
        if given is not None:
            return (await self.update(given.id, **opinion)).id
        return (await self.add(user_id=memory.user_id, memory_id=memory_id, **opinion)).id

    async def take_back(self, memory_id: uuid.UUID) -> None:
        await MemoryRepository(self.tx, self.project_id, self.user_id).get(memory_id)
        await self.tx.execute(delete(Feedback).where(*self.mine(), Feedback.memory_id == memory_id))
