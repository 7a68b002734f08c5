"""While the model is away, the words of an event that waits are findable as memories, which its facts replace.

Each message of a user or an assistant becomes an episode. If a client deletes or changes one of these, the message is
not read any more: what was deleted must not come back as a fact, and what was changed is the client's own.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, any_, exists, func, literal, text
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict
from app.core.ports import IndexChange, IndexRemoval, Role
from app.core.resources import Resources
from app.core.storable_text import is_blank
from app.memory.extraction.requests import is_never_stored
from app.memory.importance import importance_in
from app.memory.indexing import upserts_for_added
from app.memory.ledger.events import EventRequest
from app.memory.ledger.memory import Kind, Memory, NewMemory
from app.memory.ledger.models import MemoryEvent
from app.memory.ledger.repository import MemoryRepository
from app.memory.ledger.row_locks import lock_linked
from app.memory.ledger.run_event import RunningEvent
from app.memory.namespace import Namespace

MAX_AT_ONCE = 50
MAX_NAMESPACES_EVENTS = 2000
SELECT_EVENTS_WITHOUT_WORDS_SQL = text("""
select id, user_id, messages, request from events e
where project_id = :project_id and namespace = :namespace and event_type = 'ADD' and status in ('PENDING', 'RUNNING')
  and interim_ids is null and not request ? 'source_message_id'
  and (user_id is null or exists (select from profiles p where p.project_id = :project_id and p.user_id = e.user_id
    and p.id = cast(e.request ->> 'profile_id' as uuid)))
order by created_at, id limit :most for update of e skip locked
""")
SET_INTERIM_SQL = text("""
update events e set interim_ids = given.interim_ids
from jsonb_to_recordset(cast(:given as jsonb)) as given (id uuid, interim_ids uuid[])
where e.project_id = :project_id and e.id = given.id
""")
SELECT_NAMESPACES_SQL = text("select project_id, namespace from private.namespaces_without_words(:most)")
SELECT_UNCHANGED_SQL = text("""
select m.id from memories m join unnest(cast(:ids as uuid[]), cast(:hashes as bytea[])) as given (id, hash)
  on m.id = given.id and m.hash = given.hash
where m.project_id = :project_id
""")
LOCK_UNCHANGED_SQL = text(f"{SELECT_UNCHANGED_SQL.text} order by m.id for update of m")


async def store_all_waiting_words(resources: Resources) -> None:
    async with resources.database.system() as tx:
        rows = (await tx.execute(SELECT_NAMESPACES_SQL, {"most": MAX_NAMESPACES_EVENTS})).all()
    for row in rows:
        await store_waiting_words(resources, row.project_id, row.namespace)


async def store_waiting_words(resources: Resources, project_id: UUID, namespace: str) -> None:
    """Of the events of a namespace that wait for the model. When this returns, the next search finds them."""
    while await _store_some(resources, project_id, namespace) == MAX_AT_ONCE:
        pass


async def _store_some(resources: Resources, project_id: UUID, namespace: str) -> int:
    values = {"project_id": project_id, "namespace": namespace, "most": MAX_AT_ONCE}
    async with resources.database.transaction(project_id) as tx:
        events = (await tx.execute(SELECT_EVENTS_WITHOUT_WORDS_SQL, values)).all()
        if not events:
            return 0
        place = _namespace_of(project_id, events[0])
        episodes = {event.id: _episodes(event) for event in events}
        new = [each for of_event in episodes.values() for each in of_event if each]
        added = await MemoryRepository(tx, project_id).add_all(
            place,
            new,
            deduplicate=False,
            event_ids={each.id: event_id for event_id, of_event in episodes.items() for each in of_event if each},
            hashes={each.id: interim_hash(each.id) for each in new},
        )
        given = [
            {"id": str(event_id), "interim_ids": [str(each.id) if each else None for each in of_event]}
            for event_id, of_event in episodes.items()
        ]
        await tx.execute(SET_INTERIM_SQL, {"project_id": project_id, "given": json.dumps(given)})
    await resources.index_queue.put(upserts_for_added(place, new, added))
    return len(events)


def _namespace_of(project_id: UUID, event: Row[Any]) -> Namespace:
    return Namespace(project_id, event.user_id, EventRequest.model_validate(event.request).profile_id)


def _episodes(event: Row[Any]) -> list[NewMemory | None]:
    """One for each message with text. A message of the system informs the extraction only."""
    request = EventRequest.model_validate(event.request)
    return [
        NewMemory(
            content=message["content"],
            kind=Kind.EPISODE,
            role=Role(message["role"]),
            origin=request.origin(event.user_id),
            metadata=request.metadata,
            importance=importance_in(request.metadata),
            categories=(),
            door=request.door,
            immutable=request.immutable,
            expires_on=request.expires_on,
            created_at=request.said_at,
            input=(message,),
        )
        if message["role"] != Role.SYSTEM and not is_blank(message["content"]) and not is_never_stored(message)
        else None
        for message in event.messages
    ]


def interim_hash(memory_id: UUID) -> bytes:
    """No other memory counts as a duplicate of this one, since it will be replaced. A change sets another hash."""
    return hashlib.sha256(b"interim" + memory_id.bytes).digest()


def is_interim() -> ColumnElement[bool]:
    """Whether a memory holds words of an event that still waits, and no client has changed it."""
    words = Memory.hash == func.sha256(literal(b"interim", BYTEA).op("||")(func.uuid_send(Memory.id)))
    of_waiting_event = exists().where(
        MemoryEvent.project_id == Memory.project_id,
        MemoryEvent.namespace == Memory.namespace,
        MemoryEvent.status.in_(("PENDING", "RUNNING")),
        Memory.id == any_(MemoryEvent.interim_ids),
    )
    return and_(words, of_waiting_event)


async def read_messages(resources: Resources, events: Sequence[RunningEvent]) -> list[RunningEvent]:
    """The events with the messages that may still be read, and with the memories that hold these."""
    ids = [each for event in events for each in event.interim_ids or () if each]
    if not ids:
        return list(events)
    async with resources.database.transaction(events[0].namespace.project_id) as tx:
        unchanged = set(await tx.scalars(SELECT_UNCHANGED_SQL, _given(events[0].namespace.project_id, ids)))
    return [_without_withdrawn(event, unchanged) for event in events]


def _without_withdrawn(event: RunningEvent, unchanged: set[UUID]) -> RunningEvent:
    if event.interim_ids is None:
        return event
    interim = event.interim_ids
    kept = [(m, i) for m, i in zip(event.messages, interim, strict=True) if i is None or i in unchanged]
    return replace(event, messages=[message for message, _ in kept], interim_ids=[each for _, each in kept])


async def replace_interim(
    tx: AsyncSession, events: Sequence[RunningEvent], current: Mapping[UUID, Sequence[UUID | None]]
) -> list[IndexChange]:
    """Delete the memories that held the words of these events. `current`: those of each event at this moment."""
    namespace = events[0].namespace
    held = [current[event.id] if event.interim_ids is None else event.interim_ids for event in events]
    ids = [each for of_event in held for each in of_event if each]
    if not ids:
        return []
    await lock_linked(tx, namespace.project_id, ids)
    locked = list(await tx.scalars(LOCK_UNCHANGED_SQL, _given(namespace.project_id, ids)))
    if len(locked) < len(ids):
        raise Conflict("Words were deleted or changed while the language model read them")
    await MemoryRepository(tx, namespace.project_id).delete_replaced(ids)
    return [IndexRemoval(each, namespace.project_id, str(namespace)) for each in ids]


def _given(project_id: UUID, ids: Sequence[UUID]) -> dict[str, object]:
    return {"project_id": project_id, "ids": list(ids), "hashes": [interim_hash(each) for each in ids]}
