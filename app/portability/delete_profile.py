from uuid import UUID

from sqlalchemy import select, text

from app.core.resources import Resources
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.namespace import Namespace
from app.profiles.repository import ProfileRepository
from app.sessions.models import Session
from app.sessions.window import window_store

DELETE_EVENTS_OF_NAMESPACE_SQL = text("delete from events where project_id = :project_id and namespace = :namespace")


async def delete_profile_data(
    resources: Resources, caller: Caller, profile_id: UUID, *, even_last: bool = False
) -> None:
    """Delete a profile with its memories, sessions and events. The last one of a user stays, unless `even_last`."""
    async with caller_transaction(resources.database, caller) as tx:
        profiles = ProfileRepository(tx, caller.project_id, caller.user_id)
        profile = await profiles.get(profile_id)
        sessions = select(Session.id).where(Session.project_id == caller.project_id, Session.profile_id == profile_id)
        session_ids = list(await tx.scalars(sessions))
        namespace = Namespace(caller.project_id, profile.user_id, profile_id)
        await (profiles.delete(profile_id) if even_last else profiles.remove(profile_id))
        await tx.execute(DELETE_EVENTS_OF_NAMESPACE_SQL, {"project_id": caller.project_id, "namespace": str(namespace)})
    await window_store(resources, caller.project_id).delete(*session_ids)
