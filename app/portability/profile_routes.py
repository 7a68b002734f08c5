"""The routes of /v1/profiles that affect memories: copying a profile and deleting it."""

from uuid import UUID

from app.core.errors import BadRequest
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.resources import ResourcesDep
from app.identity.caller import Caller, ProfileWriter
from app.identity.transaction import caller_transaction
from app.memory.copy_profile import copy_memories
from app.memory.namespace import Namespace
from app.portability.delete_profile import delete_profile_data
from app.profiles.repository import ProfileRepository
from app.profiles.schemas import CopiedMemories, ProfileCopy

router = own_router(prefix="/v1/profiles", tags=["Profiles"])


@router.post("/{profile_id}/copy")
async def copy_profile(
    profile_id: UUID, body: ProfileCopy, caller: ProfileWriter, resources: ResourcesDep
) -> CopiedMemories:
    """Copies the memories of a profile to another profile of the same user.

    Memories that the other profile already has are not copied, but counted in `already_there`.
    """
    async with caller_transaction(resources.database, caller) as tx:
        source = await ProfileRepository(tx, caller.project_id, caller.user_id).get(profile_id)
        target = await ProfileRepository(tx, caller.project_id, source.user_id).get(body.to_profile_id)
    if source.id == target.id:
        raise BadRequest("A profile cannot be copied into itself. Name another profile as `to_profile_id`.")
    copied, known = await copy_memories(resources, _namespace(caller, source.user_id, source.id), target.id)
    return CopiedMemories(copied=copied, already_there=known)


@router.delete("/{profile_id}")
async def delete_profile(profile_id: UUID, caller: ProfileWriter, resources: ResourcesDep) -> Done:
    """Deletes a profile with its memories and sessions. The last profile of a user cannot be deleted."""
    await delete_profile_data(resources, caller, profile_id)
    return Done(message="Profile deleted, with its memories and sessions")


def _namespace(caller: Caller, user_id: str, profile_id: UUID) -> Namespace:
    return Namespace(caller.project_id, user_id, profile_id)
