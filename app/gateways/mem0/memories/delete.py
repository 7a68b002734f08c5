"""Forget what a scope says: never more, and never everything because something could not be read."""

import uuid
from collections.abc import Mapping, Sequence
from uuid import UUID

from fastapi import Request
from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest, NotFound
from app.core.resources import Resources
from app.gateways.mem0.memories.addressing import ProfileChoice, Sought, about, names_only, seek
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.edit import Caretaker
from app.memory.filters.entity_scope import EntityScope, entity_scope, has_positive_entity
from app.memory.filters.parse import parse_filters
from app.memory.filters.tree import ENTITY_FIELDS, And, Filter, Or, Present
from app.memory.forget import forget_where
from app.memory.ledger.models import Memory, MemoryEvent
from app.memory.ledger.repository import MemoryRepository, record_event
from app.memory.namespace import Namespace

# What a client may send along without meaning anything by it here.
SILENT = {"org_id", "project_id", "version", "output_format", "async_mode", "enable_graph", "source", "profile_id"}
ON_TOP = (*ENTITY_FIELDS, "filters", "metadata")
EVERYTHING = Or(tuple(Present(field) for field in ENTITY_FIELDS))
"""Every memory belongs to at least one of them."""
EVENT_FIELDS: dict[str, ColumnElement[str]] = {
    "user_id": MemoryEvent.__table__.c.user_id,
    **{field: MemoryEvent.request[field].astext for field in ENTITY_FIELDS[1:]},
}


def read_scope(request: Request) -> Filter:
    """All that the query string asks for, together. A word we do not know might have meant less, so it is refused."""
    given = {name: value for name, value in request.query_params.multi_items() if name not in SILENT}
    if unknown := given.keys() - set(ON_TOP):
        raise BadRequest(f"delete_all does not take `{min(unknown)[:40]}`: it takes {', '.join(ON_TOP)}")
    if len(request.query_params.multi_items()) != len(request.query_params):
        raise BadRequest("Each parameter of delete_all can be given once")
    if not all(value.strip() for value in given.values()):
        raise BadRequest("A parameter of delete_all is empty: leave it out if it is not meant")
    if given == dict.fromkeys(ENTITY_FIELDS, "*"):
        return EVERYTHING  # mem0's way to say so, which read as conditions would mean what belongs to all four
    found = And(tuple(parse_filters(value if name == "filters" else {name: value}) for name, value in given.items()))
    if not has_positive_entity(found):
        raise BadRequest("Say what to delete: name at least one of user_id, agent_id, app_id and run_id")
    return found


async def forget_scope(
    resources: Resources, caller: Caller, found: Filter, profile: ProfileChoice, event_type: str = "DELETE_ALL"
) -> UUID:
    everything = found is EVERYTHING
    found = about(caller, found)
    sought = await seek(resources.database, caller, found, "*" if everything and profile is None else profile)
    if everything or names_only(found):
        async with caller_transaction(resources.database, caller) as tx:
            await stop_extraction(tx, caller, sought, entity_scope(found))
    who = Caretaker(caller.project_id, caller.user_id)
    gone = [] if sought.namespaces == () else await forget_where(resources, who, sought.where())
    return await note(resources, caller, event_type, {"deleted": len(gone)})


async def stop_extraction(tx: AsyncSession, caller: Caller, sought: Sought, scope: EntityScope) -> None:
    """What was said and not yet remembered, or could not be, is meant too."""
    where: list[ColumnElement[bool]] = [MemoryEvent.messages.is_not(None)]
    for field, ids in zip(ENTITY_FIELDS, (scope.user_ids, scope.agent_ids, scope.app_ids, scope.run_ids), strict=True):
        if ids is not None:
            where.append(EVENT_FIELDS[field].in_(ids))
    if sought.namespaces is not None:
        where.append(MemoryEvent.namespace.in_([str(each) for each in sought.namespaces]))
    await tx.execute(delete(MemoryEvent).where(MemoryEvent.project_id == caller.project_id, *where))


async def note(resources: Resources, caller: Caller, event_type: str, request: Mapping[str, object]) -> UUID:
    event_id = uuid.uuid4()
    namespace = Namespace(caller.project_id, caller.user_id)
    async with caller_transaction(resources.database, caller) as tx:
        await record_event(tx, namespace, event_id, event_type, done=True, request=request)
    return event_id


async def forget_one(resources: Resources, caller: Caller, memory_id: UUID, *, linked: bool) -> int:
    """How many went besides: with `linked`, the older memories that this one had replaced."""
    who = Caretaker(caller.project_id, caller.user_id)
    async with caller_transaction(resources.database, caller) as tx:
        await MemoryRepository(tx, caller.project_id, caller.user_id).locked(memory_id)
    where = or_(Memory.id == memory_id, Memory.replaced_by == memory_id) if linked else Memory.id == memory_id
    gone = await forget_where(resources, who, [where])
    await note_each(resources, caller, "DELETE", gone)
    return len(gone) - 1


async def note_each(resources: Resources, caller: Caller, event_type: str, ids: Sequence[UUID]) -> None:
    results = [{"id": str(each), "event": event_type} for each in ids]
    namespace = Namespace(caller.project_id, caller.user_id)
    async with caller_transaction(resources.database, caller) as tx:
        await record_event(tx, namespace, uuid.uuid4(), event_type, done=True, results=results)


async def check_all_there(tx: AsyncSession, caller: Caller, ids: Sequence[UUID]) -> None:
    repository = MemoryRepository(tx, caller.project_id, caller.user_id)
    query = select(Memory.id).where(*repository.mine(), Memory.id.in_(ids)).order_by(Memory.id).with_for_update()
    there = set(await tx.scalars(query))
    if missing := [each for each in ids if each not in there]:
        raise NotFound(f"There is no memory {missing[0]}: nothing was changed")
