"""/v1/profiles: the named sets of memories that a user switches between."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from app.core.database.pagination import Cursor, Limit, Page, PageRows
from app.core.http.strict_requests import own_router
from app.identity.caller import ProfileReader, ProfileWriter
from app.identity.transaction import Transaction
from app.profiles.models import Profile
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import ProfileCreate, ProfilePatch, ProfileRead, UserId

router = own_router(prefix="/v1/profiles", tags=["Profiles"])
UserIdQuery = Annotated[
    UserId | None, Query(description="The user to act for. Defaults to yourself; required with an API key.")
]


@router.post("", status_code=201, response_model=ProfileRead)
async def create_profile(body: ProfileCreate, caller: ProfileWriter, tx: Transaction) -> Profile:
    """Creates a profile. The first profile of a user becomes the default."""
    values = body.model_dump(exclude={"user_id"})
    return await ProfileRepository(tx, caller.project_id).create(caller.act_for(body.user_id), **values)


@router.get("", response_model=Page[ProfileRead])
async def list_profiles(
    caller: ProfileReader, tx: Transaction, user_id: UserIdQuery = None, limit: Limit = 50, cursor: Cursor = None
) -> PageRows[Profile]:
    """Lists the profiles of a user, newest first. A new user has one profile: the default."""
    owner = caller.act_for(user_id)
    await ProfileRepository(tx, caller.project_id).default_of(owner)
    return await ProfileRepository(tx, caller.project_id, owner).page(limit, cursor)


@router.get("/{profile_id}", response_model=ProfileRead)
async def get_profile(profile_id: UUID, caller: ProfileReader, tx: Transaction) -> Profile:
    """Returns one profile."""
    return await ProfileRepository(tx, caller.project_id, caller.user_id).get(profile_id)


@router.patch("/{profile_id}", response_model=ProfileRead)
async def change_profile(profile_id: UUID, body: ProfilePatch, caller: ProfileWriter, tx: Transaction) -> Profile:
    """Changes the name, description or persona."""
    changes = body.model_dump(exclude_unset=True)
    if changes.get("name", "") is None:
        del changes["name"]
    return await ProfileRepository(tx, caller.project_id, caller.user_id).update(profile_id, **changes)


@router.post("/{profile_id}/default", response_model=ProfileRead)
async def make_default(profile_id: UUID, caller: ProfileWriter, tx: Transaction) -> Profile:
    """Makes this profile the default: requests that name no profile use it from now on."""
    return await ProfileRepository(tx, caller.project_id, caller.user_id).make_default(profile_id)
