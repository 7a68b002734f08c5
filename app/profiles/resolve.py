"""Whose profile is whose, in one round trip: every search asks."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from app.core.database.database import Database
from app.core.errors import NotFound

ALL = text("select user_id, id from profiles where project_id = :project_id and user_id = any(:users)")
DEFAULTS = text(
    "select user_id, id from profiles where project_id = :project_id and is_default and user_id = any(:users)"
)
ONE = text(
    "select user_id, id from profiles where project_id = :project_id and id = :id"
    " and (cast(:user_id as text) is null or user_id = :user_id)"
)
Home = tuple[str, UUID]
"""A user and one of their profiles."""


async def homes_of(
    database: Database, project_id: UUID, pinned: str | None, users: Collection[str], *, every: bool = False
) -> list[Home]:
    """Default profiles of users already known, or every profile; a user never seen has none and is left out."""
    asked = (ALL if every else DEFAULTS, {"project_id": project_id, "users": list(users)})
    return [(row.user_id, row.id) for row in await database.at_once(project_id, pinned, asked)]


async def home_named(database: Database, project_id: UUID, pinned: str | None, profile_id: UUID) -> Home:
    asked = (ONE, {"project_id": project_id, "id": profile_id, "user_id": pinned})
    rows = await database.at_once(project_id, pinned, asked)
    if not rows:
        raise NotFound(f"There is no profile {profile_id}")
    return (rows[0].user_id, rows[0].id)
