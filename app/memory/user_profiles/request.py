"""Read the user profile of one user; request it, or those of a sample of users to try a schema."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest, Forbidden, TooManyRequests
from app.identity.caller import Caller
from app.memory.entities import EntityRepository
from app.memory.ledger import MemoryEvent
from app.memory.namespace import Namespace
from app.memory.user_profiles.generate import INSUFFICIENT, SUCCEEDED
from app.memory.user_profiles.jobs import RequestedProfiles, replay, start_job
from app.memory.user_profiles.profile_schema import read_settings
from app.memory.user_profiles.repository import UserProfile, UserProfileJobRepository, UserProfileRepository
from app.profiles.repository import ProfileRepository
from app.projects.repository import SettingsRepository

SAMPLE_INTERVAL_SECONDS = 60
FIND_DEFAULT_PROFILE_SQL = text(
    "select id from profiles where project_id = :project_id and user_id = :user_id and is_default"
)
NOT_ENABLED = "User profiles are disabled in this project. Enable them with POST /v2/profiles/settings/"


@dataclass(frozen=True, slots=True)
class UserProfileState:
    status: str
    user_profile: UserProfile | None = None
    last_event: MemoryEvent | None = None


async def read_user_profile(tx: AsyncSession, caller: Caller, user_id: str) -> UserProfileState:
    await EntityRepository(tx, caller.project_id).get_entity("user", user_id)
    if not read_settings(await SettingsRepository(tx, caller.project_id).get()).enabled:
        return UserProfileState("not_enabled")
    profile_id = await tx.scalar(FIND_DEFAULT_PROFILE_SQL, {"project_id": caller.project_id, "user_id": user_id})
    if profile_id is None:
        return UserProfileState(INSUFFICIENT)
    namespace = Namespace(caller.project_id, user_id, profile_id)
    user_profile = await UserProfileRepository(tx, caller.project_id).find_for(namespace)
    last_event = await UserProfileJobRepository(tx, caller.project_id).last_event(namespace)
    return UserProfileState(status_of(user_profile, last_event), user_profile, last_event)


def status_of(user_profile: UserProfile | None, last_event: MemoryEvent | None) -> str:
    if last_event is not None and last_event.status in ("PENDING", "RUNNING"):
        return "pending"
    if last_event is not None and last_event.status == "FAILED":
        return "failed"
    return SUCCEEDED if user_profile else INSUFFICIENT


async def request_user_profile(tx: AsyncSession, caller: Caller, user_id: str, key: str) -> RequestedProfiles:
    await EntityRepository(tx, caller.project_id).get_entity("user", user_id)
    await _check_enabled(tx, caller)
    jobs = UserProfileJobRepository(tx, caller.project_id)
    if (earlier := await jobs.find_by_key(user_id, key)) is not None:
        return await replay(jobs, earlier)
    profile = await ProfileRepository(tx, caller.project_id).default_of(user_id)
    return await start_job(jobs, "trigger", key, [Namespace(caller.project_id, user_id, profile.id)])


async def request_sample(tx: AsyncSession, caller: Caller, limit: int, key: str) -> RequestedProfiles:
    """Of the users with the most memories, whose profiles show best what a schema is worth."""
    if caller.user_id is not None:
        raise Forbidden("A sample covers the whole project, but you are signed in as an end user")
    await _check_enabled(tx, caller)
    jobs = UserProfileJobRepository(tx, caller.project_id)
    age_seconds = await jobs.lock_samples()
    if (earlier := await jobs.find_by_key(None, key)) is not None:
        return await replay(jobs, earlier)
    if age_seconds is not None and age_seconds < SAMPLE_INTERVAL_SECONDS:
        wait = {"Retry-After": str(max(1, round(SAMPLE_INTERVAL_SECONDS - age_seconds)))}
        message = f"One sample can be requested every {SAMPLE_INTERVAL_SECONDS} seconds. Retry later"
        raise TooManyRequests(message, headers=wait)
    return await start_job(jobs, "sample", key, await jobs.users_with_most_memories(limit))


async def _check_enabled(tx: AsyncSession, caller: Caller) -> None:
    if not read_settings(await SettingsRepository(tx, caller.project_id).get()).enabled:
        raise BadRequest(NOT_ENABLED, code="not_enabled")
