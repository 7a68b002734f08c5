"""Ask for portraits: of one user, of a few to try a schema, or of those of whom there is more to know."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import AppError, BadRequest, Conflict, Forbidden, TooManyRequests
from app.core.jobs import JobContext, TryAgain, defer, resources_of, tasks
from app.core.resources import Resources
from app.identity.caller import Caller
from app.memory.entities import EntityRepository
from app.memory.ledger.models import MemoryEvent
from app.memory.ledger.repository import record_event
from app.memory.namespace import Namespace
from app.memory.user_profiles.generate import INSUFFICIENT, SUCCEEDED, portray
from app.memory.user_profiles.profile_schema import read_settings
from app.memory.user_profiles.repository import (
    PROFILE,
    Portrait,
    PortraitJob,
    PortraitJobRepository,
    PortraitRepository,
)
from app.profiles.repository import ProfileRepository
from app.projects.repository import SettingsRepository

REST_SECONDS = 60
"""Between two samples of a project."""
DUE_AFTER = 10
"""So many memories since the last time make a portrait anew."""
MOST_AT_ONCE = 500
DUE = text("select project_id, user_id, profile_id from private.portraits_due(:threshold, :most)")
OLD = text("delete from portrait_jobs where created_at < now() - interval '30 days'")
NOT_ENABLED = "User profiles are switched off in this project: switch them on with POST /v2/profiles/settings/"
AGAIN = TryAgain(AppError, OSError, SQLAlchemyError)
FIND_HOME = text("select id from profiles where project_id = :project_id and user_id = :user_id and is_default")


@dataclass(frozen=True, slots=True)
class Asked:
    job: PortraitJob
    events: Sequence[MemoryEvent]
    replayed: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to be seen of one user."""

    status: str
    portrait: Portrait | None = None
    last: MemoryEvent | None = None


@tasks.task(name="memory.portray", pass_context=True, retry=AGAIN)
async def portray_user(context: JobContext, project_id: str, event_id: str) -> None:
    await portray(resources_of(context), UUID(project_id), UUID(event_id), context.job.attempts)


@tasks.periodic(cron="*/10 * * * *")
@tasks.task(name="memory.portraits_due", pass_context=True, queueing_lock="portraits_due", lock="portraits_due")
async def portray_those_due(context: JobContext, timestamp: int) -> None:
    del timestamp
    await refresh_portraits(resources_of(context))
    await forget_old_jobs(resources_of(context))


async def refresh_portraits(resources: Resources) -> int:
    async with resources.database.system() as tx:
        due = (await tx.execute(DUE, {"threshold": DUE_AFTER, "most": MOST_AT_ONCE})).all()
    for row in due:
        async with resources.database.transaction(row.project_id) as tx:
            home = Namespace(row.project_id, row.user_id, row.profile_id)
            await _start(PortraitJobRepository(tx, row.project_id), "refresh", str(uuid.uuid4()), [home])
    return len(due)


async def forget_old_jobs(resources: Resources) -> None:
    """What came of them stays; who asked, and with which key, is known for a month."""
    async with resources.database.system() as tx:
        await tx.execute(OLD)


async def see_portrait(tx: AsyncSession, caller: Caller, user_id: str) -> Seen:
    await EntityRepository(tx, caller.project_id).one("user", user_id)
    if not read_settings(await SettingsRepository(tx, caller.project_id).get()).enabled:
        return Seen("not_enabled")
    profile_id = await tx.scalar(FIND_HOME, {"project_id": caller.project_id, "user_id": user_id})
    if profile_id is None:
        return Seen(INSUFFICIENT)
    home = Namespace(caller.project_id, user_id, profile_id)
    portrait = await PortraitRepository(tx, caller.project_id).of(home)
    last = await PortraitJobRepository(tx, caller.project_id).last_try(home)
    return Seen(status_of(portrait, last), portrait, last)


def status_of(portrait: Portrait | None, last: MemoryEvent | None) -> str:
    if last is not None and last.status in ("PENDING", "RUNNING"):
        return "pending"
    if last is not None and last.status == "FAILED":
        return "failed"
    return SUCCEEDED if portrait else INSUFFICIENT


async def ask_for(tx: AsyncSession, caller: Caller, user_id: str, key: str) -> Asked:
    await EntityRepository(tx, caller.project_id).one("user", user_id)
    await _check_enabled(tx, caller)
    jobs = PortraitJobRepository(tx, caller.project_id)
    if (before := await jobs.asked_before(user_id, key)) is not None:
        return await _again(jobs, before)
    profile = await ProfileRepository(tx, caller.project_id).default_of(user_id)
    return await _start(jobs, "trigger", key, [Namespace(caller.project_id, user_id, profile.id)])


async def ask_for_sample(tx: AsyncSession, caller: Caller, limit: int, key: str) -> Asked:
    """Of those of whom most is remembered: there a schema shows best what it is worth."""
    if caller.user_id is not None:
        raise Forbidden("You are signed in as an end user: a sample is of the whole project")
    await _check_enabled(tx, caller)
    jobs = PortraitJobRepository(tx, caller.project_id)
    ago = await jobs.lock_samples()
    if (before := await jobs.asked_before(None, key)) is not None:
        return await _again(jobs, before)
    if ago is not None and ago < REST_SECONDS:
        wait = {"Retry-After": str(max(1, round(REST_SECONDS - ago)))}
        raise TooManyRequests("A sample was started a moment ago: wait until it is done", headers=wait)
    return await _start(jobs, "sample", key, await jobs.most_remembered(limit))


async def _check_enabled(tx: AsyncSession, caller: Caller) -> None:
    if not read_settings(await SettingsRepository(tx, caller.project_id).get()).enabled:
        raise BadRequest(NOT_ENABLED, code="not_enabled")


async def _just_asked(jobs: PortraitJobRepository, user_id: str | None, key: str) -> Asked:
    """Somebody used the same key in the very same moment, and was first."""
    if (before := await jobs.asked_before(user_id, key)) is None:
        raise Conflict("The same request has just been answered and taken back: send it again")
    return await _again(jobs, before)


async def _again(jobs: PortraitJobRepository, job: PortraitJob) -> Asked:
    return Asked(job, await jobs.events_of(job), replayed=True)


async def _start(jobs: PortraitJobRepository, operation: str, key: str, homes: Sequence[Namespace]) -> Asked:
    """The job, an event for each user, and the work itself, in one transaction."""
    ids = [uuid.uuid4() for _ in homes]
    user_id = None if operation == "sample" else homes[0].user_id
    job = await jobs.begin(user_id, operation, key, ids)
    if job is None:
        return await _just_asked(jobs, user_id, key)
    for event_id, home in zip(ids, homes, strict=True):
        request = {"profile_id": str(home.profile_id), "job_id": str(job.id)}
        await record_event(jobs.tx, home, event_id, PROFILE, done=False, request=request)
        await defer(
            *(jobs.tx, portray_user),
            lock=f"portrait:{home}",
            project_id=str(home.project_id),
            event_id=str(event_id),
        )
    return Asked(job, await jobs.events_of(job), replayed=False)
