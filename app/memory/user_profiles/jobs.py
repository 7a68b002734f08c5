"""The jobs of user profiles: one generates a profile, one requests those that are due."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from app.core.errors import Conflict
from app.core.jobs import JobContext, defer, resources_of, tasks
from app.core.resources import Resources
from app.memory.ledger import EventRequest, MemoryEvent, record_event
from app.memory.ledger.run_event import RETRY
from app.memory.namespace import Namespace
from app.memory.user_profiles.generate import generate_user_profile
from app.memory.user_profiles.repository import PROFILE, UserProfileJob, UserProfileJobRepository

REFRESH_AFTER = 10
"""The number of new memories after which a user profile is generated again."""
MAX_REFRESHED_AT_ONCE = 500
SELECT_DUE_PROFILES_SQL = text("select project_id, user_id, profile_id from private.portraits_due(:threshold, :most)")
DELETE_OLD_JOBS_SQL = text("delete from portrait_jobs where created_at < now() - interval '30 days'")


@dataclass(frozen=True, slots=True)
class RequestedProfiles:
    job: UserProfileJob
    events: Sequence[MemoryEvent]
    replayed: bool
    """Whether the job is that of an earlier request with the same idempotency key."""


@tasks.task(name="memory.generate_user_profile", aliases=["memory.portray"], pass_context=True, retry=RETRY)
async def generate(context: JobContext, project_id: str, event_id: str) -> None:
    await generate_user_profile(resources_of(context), UUID(project_id), UUID(event_id), context.job.attempts)


@tasks.periodic(cron="*/10 * * * *")
@tasks.task(
    name="memory.refresh_user_profiles",
    aliases=["memory.portraits_due"],
    pass_context=True,
    queueing_lock="refresh_user_profiles",
    lock="refresh_user_profiles",
)
async def refresh_periodically(context: JobContext, timestamp: int) -> None:
    del timestamp
    await refresh_user_profiles(resources_of(context))
    await delete_old_jobs(resources_of(context))


async def refresh_user_profiles(resources: Resources) -> int:
    """Request those with enough new memories. Returns how many."""
    async with resources.database.system() as tx:
        values = {"threshold": REFRESH_AFTER, "most": MAX_REFRESHED_AT_ONCE}
        due = (await tx.execute(SELECT_DUE_PROFILES_SQL, values)).all()
    for row in due:
        async with resources.database.transaction(row.project_id) as tx:
            namespace = Namespace(row.project_id, row.user_id, row.profile_id)
            jobs = UserProfileJobRepository(tx, row.project_id)
            await start_job(jobs, "refresh", str(uuid.uuid4()), [namespace])
    return len(due)


async def delete_old_jobs(resources: Resources) -> None:
    """Jobs and their idempotency keys are kept for a month; the user profiles stay."""
    async with resources.database.system() as tx:
        await tx.execute(DELETE_OLD_JOBS_SQL)


async def replay(jobs: UserProfileJobRepository, job: UserProfileJob) -> RequestedProfiles:
    return RequestedProfiles(job, await jobs.events_of(job), replayed=True)


async def start_job(
    jobs: UserProfileJobRepository, operation: str, key: str, namespaces: Sequence[Namespace]
) -> RequestedProfiles:
    """Write the job, and for each user an event and a background job, in one transaction."""
    event_ids = [uuid.uuid4() for _ in namespaces]
    user_id = None if operation == "sample" else namespaces[0].user_id
    job = await jobs.create(user_id, operation, key, event_ids)
    if job is None:
        if (earlier := await jobs.find_by_key(user_id, key)) is None:
            raise Conflict("A request with the same idempotency key was just cancelled. Send the request again")
        return await replay(jobs, earlier)
    for event_id, namespace in zip(event_ids, namespaces, strict=True):
        request = EventRequest(profile_id=namespace.profile_id, job_id=job.id)
        await record_event(jobs.tx, namespace, event_id, PROFILE, done=False, request=request)
        await defer(
            jobs.tx,
            generate,
            lock=f"user_profile:{namespace}",
            project_id=str(namespace.project_id),
            event_id=str(event_id),
        )
    return RequestedProfiles(job, await jobs.events_of(job), replayed=False)
