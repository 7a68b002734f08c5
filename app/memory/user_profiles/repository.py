"""User profiles: made from one profile's memories, and erased as soon as one of these memories is deleted.

The tables keep their first names, `portraits` and `portrait_jobs`.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.content import content_leaves
from app.core.database.database import ProjectModel
from app.core.database.repository import Repository
from app.memory.ledger import Json, MemoryEvent
from app.memory.namespace import Namespace

PROFILE = "PROFILE"
"""The type of the events that record how a user profile was generated."""
LOCK_SAMPLES_SQL = text("select pg_advisory_xact_lock(hashtextextended('sample:' || cast(:project_id as text), 0))")
SELECT_LAST_SAMPLE_AGE_SQL = text(
    "select extract(epoch from now() - max(created_at)) from portrait_jobs where project_id = :project_id"
    " and user_id is null"
)
SELECT_USERS_WITH_MOST_MEMORIES_SQL = text("""
select f.user_id, f.id as profile_id from profiles f
join memories m on m.project_id = f.project_id and m.user_id = f.user_id and m.profile_id = f.id
  and m.kind <> 'message'
where f.project_id = :project_id and f.is_default
group by f.user_id, f.id order by count(*) desc, f.user_id limit :limit
""")


class UserProfile(ProjectModel):
    __tablename__ = "portraits"

    user_id: Mapped[str]
    profile_id: Mapped[uuid.UUID]
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    memory_ids: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid))
    note: Mapped[str | None]
    generation_count: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class UserProfileRepository(Repository[UserProfile]):
    model = UserProfile
    noun = "user profile"

    async def find_for(self, namespace: Namespace) -> UserProfile | None:
        key = (UserProfile.user_id == namespace.user_id, UserProfile.profile_id == namespace.profile_id)
        found: UserProfile | None = await self.tx.scalar(self.rows.where(*key))
        return found

    async def put(
        self, namespace: Namespace, content: dict[str, Any], memory_ids: Sequence[UUID], note: str | None
    ) -> None:
        marked = content_leaves(content, self.project_id, namespace.profile_id) if namespace.profile_id else content
        values = {"content": marked, "memory_ids": list(memory_ids), "note": note}
        key = {"user_id": namespace.user_id, "profile_id": namespace.profile_id}
        row = insert(UserProfile).values(project_id=self.project_id, **key, **values)
        count = UserProfile.generation_count + 1
        await self.tx.execute(
            row.on_conflict_do_update(
                index_elements=["project_id", "user_id", "profile_id"],
                set_={**values, "generation_count": count, "updated_at": func.now()},
            )
        )

    async def remove(self, namespace: Namespace) -> None:
        await self.tx.execute(delete(UserProfile).where(*self.mine(), UserProfile.profile_id == namespace.profile_id))


class UserProfileJob(ProjectModel):
    __tablename__ = "portrait_jobs"

    user_id: Mapped[str | None]
    operation: Mapped[str]
    idempotency_key: Mapped[str]
    event_ids: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class UserProfileJobRepository(Repository[UserProfileJob]):
    model = UserProfileJob
    noun = "profile job"

    async def find_by_key(self, user_id: str | None, key: str) -> UserProfileJob | None:
        same = (UserProfileJob.user_id.is_not_distinct_from(user_id), UserProfileJob.idempotency_key == key)
        found: UserProfileJob | None = await self.tx.scalar(self.rows.where(*same))
        return found

    async def create(
        self, user_id: str | None, operation: str, key: str, event_ids: Sequence[UUID]
    ) -> UserProfileJob | None:
        """None when a concurrent request has used the key first."""
        values = {"user_id": user_id, "operation": operation, "idempotency_key": key, "event_ids": list(event_ids)}
        new = insert(UserProfileJob).values(project_id=self.project_id, **values).on_conflict_do_nothing()
        job: UserProfileJob | None = await self.tx.scalar(new.returning(UserProfileJob))
        return job

    async def events_of(self, job: UserProfileJob) -> list[MemoryEvent]:
        """In the order of `event_ids`. The events of users erased in the meantime are missing."""
        query = select(MemoryEvent).where(MemoryEvent.project_id == self.project_id, MemoryEvent.id.in_(job.event_ids))
        found = {event.id: event for event in await self.tx.scalars(query)}
        return [found[each] for each in job.event_ids if each in found]

    async def lock_samples(self) -> float | None:
        """Allow one sample at a time. Returns the seconds since the last one was requested, or None."""
        await self.tx.execute(LOCK_SAMPLES_SQL, {"project_id": self.project_id})
        seconds = await self.tx.scalar(SELECT_LAST_SAMPLE_AGE_SQL, {"project_id": self.project_id})
        return None if seconds is None else float(seconds)

    async def users_with_most_memories(self, limit: int) -> list[Namespace]:
        rows = await self.tx.execute(
            SELECT_USERS_WITH_MOST_MEMORIES_SQL, {"project_id": self.project_id, "limit": limit}
        )
        return [Namespace(self.project_id, row.user_id, row.profile_id) for row in rows]

    async def last_event(self, namespace: Namespace) -> MemoryEvent | None:
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
