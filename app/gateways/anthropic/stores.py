"""A memory store is a profile. One that is created without a user has a user of its own."""

import datetime as dt
import uuid
from uuid import UUID

from fastapi import Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest, NotFound
from app.core.http.header_text import header_text
from app.core.resources import Resources
from app.identity.caller import Caller
from app.memory.edit import STORE_ARCHIVED
from app.memory.namespace import Namespace
from app.profiles.repository import ProfileRepository

OWN_USER = "memory_store:"
"""The beginning of the `user_id` of a store that belongs to no user."""
USER_HEADER = "X-User-Id"
MAX_USER_ID = 500
SELECT_STORE_SQL = text(
    "select user_id, archived_at from profiles where project_id = :project_id and id = :id"
    " and (cast(:user_id as text) is null or user_id = :user_id)"
)


def choose_user(request: Request, caller: Caller, metadata: dict[str, str]) -> str:
    named = metadata.get("user_id") or header_text(request.headers, USER_HEADER)
    if named is None and caller.account_id is None:
        return f"{OWN_USER}{uuid.uuid4().hex}"
    if named is not None and len(named) > MAX_USER_ID:
        raise BadRequest(f"The `user_id` of a store has at most {MAX_USER_ID} characters.")
    return caller.act_for(named)


def profiles_of(tx: AsyncSession, caller: Caller) -> ProfileRepository:
    return ProfileRepository(tx, caller.project_id, caller.user_id)


async def find_store(resources: Resources, caller: Caller, store_id: UUID, *, to_write: bool = False) -> Namespace:
    """In one round trip, for routes that continue in a transaction of the memory."""
    values = {"project_id": caller.project_id, "id": store_id, "user_id": caller.user_id}
    rows = await resources.database.pipeline(caller.project_id, caller.user_id, (SELECT_STORE_SQL, values))
    if not rows:
        raise NotFound(f"There is no profile {store_id}")
    if to_write:
        require_open(rows[0].archived_at)
    return Namespace(caller.project_id, rows[0].user_id, store_id)


async def store_namespace(tx: AsyncSession, caller: Caller, store_id: UUID) -> Namespace:
    profile = await profiles_of(tx, caller).get(store_id)
    return Namespace(caller.project_id, profile.user_id, profile.id)


def require_open(archived_at: dt.datetime | None) -> None:
    if archived_at is not None:
        raise BadRequest(STORE_ARCHIVED, code="store_archived")
