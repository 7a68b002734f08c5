"""Find the profiles that a request addresses, in one round trip, because every search does so."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from app.core.database.database import Database
from app.core.errors import NotFound

SELECT_ALL_PROFILES_SQL = text(
    "select user_id, id from profiles where project_id = :project_id and user_id = any(:users)"
)
SELECT_DEFAULT_PROFILES_SQL = text(
    "select user_id, id from profiles where project_id = :project_id and is_default and user_id = any(:users)"
)
SELECT_PROFILE_SQL = text(
    "select user_id, id from profiles where project_id = :project_id and id = :id"
    " and (cast(:user_id as text) is null or user_id = :user_id)"
)
UserProfileIds = tuple[str, UUID]
"""A user and the id of one of the user's profiles."""


async def find_profiles(
    database: Database, project_id: UUID, pinned: str | None, users: Collection[str], *, every: bool = False
) -> list[UserProfileIds]:
    """The default profile of each user, or all of them with `every`. Users without a profile are left out."""
    statement = (
        SELECT_ALL_PROFILES_SQL if every else SELECT_DEFAULT_PROFILES_SQL,
        {"project_id": project_id, "users": list(users)},
    )
    return [(row.user_id, row.id) for row in await database.pipeline(project_id, pinned, statement)]


async def find_profile(database: Database, project_id: UUID, pinned: str | None, profile_id: UUID) -> UserProfileIds:
    statement = (SELECT_PROFILE_SQL, {"project_id": project_id, "id": profile_id, "user_id": pinned})
    rows = await database.pipeline(project_id, pinned, statement)
    if not rows:
        raise NotFound(f"There is no profile {profile_id}")
    return (rows[0].user_id, rows[0].id)
