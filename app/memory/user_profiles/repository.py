"""Portraits: what mem0 calls a user profile, made of one profile's memories and erased with any one of these."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel
from app.core.database.repository import Repository
from app.memory.ledger.models import Json, MemoryEvent
from app.memory.namespace import Namespace

PROFILE = "PROFILE"
"""The type of events that say how a portrait went."""
SAMPLING = text("select pg_advisory_xact_lock(hashtextextended('sample:' || cast(:project_id as text), 0))")
SAMPLED = text(
    "select extract(epoch from now() - max(created_at)) from portrait_jobs where project_id = :project_id"
    " and user_id is null"
)
MOST_REMEMBERED = text("""
select f.user_id, f.id as profile_id from profiles f
join memories m on m.project_id = f.project_id and m.user_id = f.user_id and m.profile_id = f.id
where f.project_id = :project_id and f.is_default
group by f.user_id, f.id order by count(*) desc, f.user_id limit :limit
""")


class Portrait(ProjectModel):
    __tablename__ = "portraits"

    user_id: Mapped[str]
    profile_id: Mapped[uuid.UUID]
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    memory_ids: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid))
    note: Mapped[str | None]
    generation_count: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class PortraitRepository(Repository[Portrait]):
    model = Portrait
    noun = "portrait"

    async def of(self, namespace: Namespace) -> Portrait | None:
        whose = (Portrait.user_id == namespace.user_id, Portrait.profile_id == namespace.profile_id)
        found: Portrait | None = await self.tx.scalar(self.rows.where(*whose))
        return found

    async def keep(
        self, namespace: Namespace, content: dict[str, Any], memory_ids: Sequence[UUID], note: str | None
    ) -> None:
        """In the place of the one before."""
        new = {"content": content, "memory_ids": list(memory_ids), "note": note}
        whose = {"user_id": namespace.user_id, "profile_id": namespace.profile_id}
        again = insert(Portrait).values(project_id=self.project_id, **whose, **new)
        count = Portrait.generation_count + 1
        await self.tx.execute(
            again.on_conflict_do_update(
                index_elements=["project_id", "user_id", "profile_id"],
                set_={**new, "generation_count": count, "updated_at": func.now()},
            )
        )

    async def remove(self, namespace: Namespace) -> None:
        await self.tx.execute(delete(Portrait).where(*self.mine(), Portrait.profile_id == namespace.profile_id))


class PortraitJob(ProjectModel):
    __tablename__ = "portrait_jobs"

    user_id: Mapped[str | None]
    operation: Mapped[str]
    idempotency_key: Mapped[str]
    event_ids: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class PortraitJobRepository(Repository[PortraitJob]):
    model = PortraitJob
    noun = "profile job"

    async def asked_before(self, user_id: str | None, key: str) -> PortraitJob | None:
        same = (PortraitJob.user_id.is_not_distinct_from(user_id), PortraitJob.idempotency_key == key)
        found: PortraitJob | None = await self.tx.scalar(self.rows.where(*same))
        return found

    async def begin(
        self, user_id: str | None, operation: str, key: str, event_ids: Sequence[UUID]
    ) -> PortraitJob | None:
        """None when somebody else has used the key in this very moment."""
        values = {"user_id": user_id, "operation": operation, "idempotency_key": key, "event_ids": list(event_ids)}
        new = insert(PortraitJob).values(project_id=self.project_id, **values).on_conflict_do_nothing()
        made: PortraitJob | None = await self.tx.scalar(new.returning(PortraitJob))
        return made

    async def events_of(self, job: PortraitJob) -> list[MemoryEvent]:
        """In the order in which they were asked for. Those of whoever was erased meanwhile are gone."""
        query = select(MemoryEvent).where(MemoryEvent.project_id == self.project_id, MemoryEvent.id.in_(job.event_ids))
        found = {event.id: event for event in await self.tx.scalars(query)}
        return [found[each] for each in job.event_ids if each in found]

    async def lock_samples(self) -> float | None:
        """One sample at a time: how many seconds ago the last one was asked for, or None."""
        await self.tx.execute(SAMPLING, {"project_id": self.project_id})
        seconds = await self.tx.scalar(SAMPLED, {"project_id": self.project_id})
        return None if seconds is None else float(seconds)

    async def most_remembered(self, limit: int) -> list[Namespace]:
        rows = await self.tx.execute(MOST_REMEMBERED, {"project_id": self.project_id, "limit": limit})
        return [Namespace(self.project_id, row.user_id, row.profile_id) for row in rows]

    async def last_try(self, namespace: Namespace) -> MemoryEvent | None:
        query = (
            select(MemoryEvent)
            .where(
                MemoryEvent.project_id == self.project_id,
                MemoryEvent.user_id == namespace.user_id,
                MemoryEvent.event_type == PROFILE,
                MemoryEvent.namespace == str(namespace),
            )
            .order_by(MemoryEvent.created_at.desc(), MemoryEvent.id.desc())
            .limit(1)
        )
        found: MemoryEvent | None = await self.tx.scalar(query)
        return found
