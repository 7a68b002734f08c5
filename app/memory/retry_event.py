"""Retry events that failed, with as many attempts as a new one."""

import itertools
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.jobs import defer
from app.memory.extraction import extract
from app.memory.user_profiles.jobs import generate

BATCH_SIZE = 200
RESET_FAILED_EVENT_SQL = text("""
update events set status = 'PENDING', error = null, started_at = null, completed_at = null, postponed = 0,
  unavailable_since = null, updated_at = now()
where project_id = :project_id and id = :id and status = 'FAILED'
  and (event_type = 'PROFILE' or event_type = 'ADD' and messages is not null)
returning event_type, namespace
""")
SELECT_FAILED_EVENTS_SQL = text("""
select project_id, id from events
where status = 'FAILED' and (cast(:id as uuid) is null or id = :id)
  and (cast(:project_id as uuid) is null or project_id = :project_id)
order by project_id, created_at, id
""")


async def retry_event(tx: AsyncSession, project_id: UUID, event_id: UUID) -> bool:
    """Whether the event had failed. It is pending now, and its job is queued in the same transaction."""
    row = (await tx.execute(RESET_FAILED_EVENT_SQL, {"project_id": project_id, "id": event_id})).first()
    if row is None:
        return False
    task, lock = (extract, "memory") if row.event_type == "ADD" else (generate, "user_profile")
    await defer(tx, task, lock=f"{lock}:{row.namespace}", project_id=str(project_id), event_id=str(event_id))
    return True


async def retry_failed_events(
    database: Database, *, event_id: UUID | None = None, project_id: UUID | None = None
) -> int:
    """Those of all projects or of one, the oldest first. Returns how many."""
    async with database.system() as tx:
        rows = (await tx.execute(SELECT_FAILED_EVENTS_SQL, {"id": event_id, "project_id": project_id})).all()
    done = 0
    for project, events in itertools.groupby(rows, key=lambda row: row.project_id):
        while batch := list(itertools.islice(events, BATCH_SIZE)):
            async with database.transaction(project) as tx:
                done += sum([await retry_event(tx, project, row.id) for row in batch])
    return done
