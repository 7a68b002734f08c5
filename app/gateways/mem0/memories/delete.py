"""Delete memories: one, or all in a scope. A parameter that cannot be read never widens the scope."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from sqlalchemy import ARRAY, ColumnElement, Text, cast, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest, NotFound
from app.core.resources import Resources
from app.gateways.mem0.memories.addressing import (
    ProfileChoice,
    ResolvedScope,
    has_only_entity_ids,
    resolve_scope,
    restrict_to_caller,
)
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.edit import Owner
from app.memory.filters import And, EntityScope, Filter, Or, Present, entity_scope, has_positive_entity, parse_filters
from app.memory.forget import forget_where
from app.memory.ledger import EventRequest, Memory, MemoryEvent, MemoryHistory, MemoryRepository, record_event
from app.memory.namespace import Namespace
from app.memory.origin import ENTITY_FIELDS
from app.memory.supersession import find_replaced

# Parameters that clients send without effect on what is deleted; `profile_id` is read separately.
IGNORED = {"org_id", "project_id", "version", "output_format", "async_mode", "enable_graph", "source", "profile_id"}
ACCEPTED = (*ENTITY_FIELDS, "filters", "metadata")
REPEATING_FIELDS = ("metadata", "instructions", "categories")
"""Fields of a request that may repeat what it stored."""
EVENT_COLUMNS: dict[str, ColumnElement[str]] = {
    "user_id": MemoryEvent.__table__.c.user_id,
    **{field: MemoryEvent.request[field].astext for field in ENTITY_FIELDS[1:]},
}


@dataclass(frozen=True, slots=True)
class DeletionScope:
    filter: Filter
    profile: ProfileChoice
    everything: bool = False


def read_deletion_scope(request: Request, profile: ProfileChoice) -> DeletionScope:
    """All conditions of the query string together. An unknown one might narrow the scope, so it is refused."""
    parameters = {name: value for name, value in request.query_params.multi_items() if name not in IGNORED}
    if len(request.query_params.multi_items()) != len(request.query_params):
        raise BadRequest("Send each parameter of delete_all only once")
    return choose_deletion_scope(parameters, profile)


def choose_deletion_scope(parameters: Mapping[str, str], profile: ProfileChoice) -> DeletionScope:
    if unknown := parameters.keys() - set(ACCEPTED):
        raise BadRequest(f"delete_all does not accept `{min(unknown)[:40]}`. It accepts {', '.join(ACCEPTED)}")
    if not all(value.strip() for value in parameters.values()):
        raise BadRequest("A parameter of delete_all is empty. Omit it if it is not meant")
    if parameters == dict.fromkeys(ENTITY_FIELDS, "*"):
        return everything_scope(profile)
    conditions = And(
        tuple(parse_filters(value if name == "filters" else {name: value}) for name, value in parameters.items())
    )
    if not has_positive_entity(conditions):
        raise BadRequest("delete_all requires at least one of user_id, agent_id, app_id and run_id")
    return DeletionScope(conditions, profile)


def everything_scope(profile: ProfileChoice) -> DeletionScope:
    """mem0 writes "everything" as four stars. As ordinary conditions they would need a memory to have all four ids."""
    any_entity = Or(tuple(Present(field) for field in ENTITY_FIELDS))
    return DeletionScope(any_entity, "*" if profile is None else profile, everything=True)


async def delete_scope(
    resources: Resources, caller: Caller, scope: DeletionScope, event_type: str = "DELETE_ALL"
) -> UUID:
    requested = restrict_to_caller(caller, scope.filter)
    resolved = await resolve_scope(resources.database, caller, requested, scope.profile)
    if scope.everything or has_only_entity_ids(requested):
        async with caller_transaction(resources.database, caller) as tx:
            await cancel_extractions(tx, caller, resolved, entity_scope(requested))
            await remove_repeats(tx, caller, resolved, entity_scope(requested))
    owner = Owner(caller.project_id, caller.user_id)
    if resolved.namespaces == ():
        deleted = []
    else:
        deleted = await forget_where(resources, owner, resolved.where(), resolved.filter)
    return await record_deletion(resources, caller, event_type, EventRequest(deleted=len(deleted)))


async def cancel_extractions(tx: AsyncSession, caller: Caller, resolved: ResolvedScope, entities: EntityScope) -> None:
    """Delete the events in the scope that still hold messages: they wait for extraction, or it failed. The requests of
    the others keep nothing that may repeat a memory."""
    where: list[ColumnElement[bool]] = [MemoryEvent.project_id == caller.project_id]
    for field, ids in entities.items():
        if ids is not None:
            where.append(EVENT_COLUMNS[field].in_(ids))
    if resolved.namespaces is not None:
        where.append(MemoryEvent.namespace.in_([str(namespace) for namespace in resolved.namespaces]))
    await tx.execute(delete(MemoryEvent).where(*where, MemoryEvent.messages.is_not(None)))
    without_words = MemoryEvent.request.op("-")(cast(list(REPEATING_FIELDS), ARRAY(Text)))
    repeating = MemoryEvent.request.has_any(cast(list(REPEATING_FIELDS), ARRAY(Text)))
    cleared = update(MemoryEvent).where(*where, repeating).values(request=without_words)
    await tx.execute(cleared, execution_options={"synchronize_session": False})


async def remove_repeats(tx: AsyncSession, caller: Caller, resolved: ResolvedScope, entities: EntityScope) -> None:
    """What agents, apps and runs of the scope said is no source any more of memories that are not in the scope."""
    given = {field: ids for field, ids in entities.items() if ids is not None}
    if not given.keys() - {"user_id"}:
        return
    where: list[ColumnElement[bool]] = [MemoryHistory.project_id == caller.project_id, MemoryHistory.event == "REPEAT"]
    where += [getattr(MemoryHistory, field).in_(ids) for field, ids in given.items()]
    if resolved.namespaces is not None:
        of_scope = select(Memory.id).where(
            Memory.project_id == caller.project_id,
            Memory.namespace.in_([str(namespace) for namespace in resolved.namespaces]),
        )
        where.append(MemoryHistory.memory_id.in_(of_scope))
    await tx.execute(delete(MemoryHistory).where(*where), execution_options={"synchronize_session": False})


async def record_deletion(resources: Resources, caller: Caller, event_type: str, request: EventRequest) -> UUID:
    event_id = uuid.uuid4()
    namespace = Namespace(caller.project_id, caller.user_id)
    async with caller_transaction(resources.database, caller) as tx:
        await record_event(tx, namespace, event_id, event_type, done=True, request=request)
    return event_id


async def delete_one(resources: Resources, caller: Caller, memory_id: UUID, *, linked: bool) -> int:
    """Return how many memories were deleted besides: with `linked`, the older ones that this memory had replaced."""
    owner = Owner(caller.project_id, caller.user_id)
    async with caller_transaction(resources.database, caller) as tx:
        await MemoryRepository(tx, caller.project_id, caller.user_id).lock(memory_id)
        replaced = await find_replaced(tx, caller.project_id, memory_id) if linked else []
    deleted = await forget_where(resources, owner, [Memory.id.in_([memory_id, *replaced])])
    await record_memory_events(resources, caller, "DELETE", deleted)
    return len(deleted) - 1


async def record_memory_events(resources: Resources, caller: Caller, event_type: str, ids: Sequence[UUID]) -> None:
    results = [{"id": str(memory_id), "event": event_type} for memory_id in ids]
    namespace = Namespace(caller.project_id, caller.user_id)
    async with caller_transaction(resources.database, caller) as tx:
        await record_event(tx, namespace, uuid.uuid4(), event_type, done=True, results=results)


async def lock_existing(tx: AsyncSession, caller: Caller, ids: Sequence[UUID]) -> None:
    repository = MemoryRepository(tx, caller.project_id, caller.user_id)
    query = select(Memory.id).where(*repository.mine(), Memory.id.in_(ids)).order_by(Memory.id).with_for_update()
    check_all_exist(ids, await tx.scalars(query))


def check_all_exist(ids: Sequence[UUID], found: Iterable[UUID]) -> None:
    existing = set(found)
    if missing := [memory_id for memory_id in ids if memory_id not in existing]:
        raise NotFound(f"There is no memory {missing[0]}: nothing was changed")
