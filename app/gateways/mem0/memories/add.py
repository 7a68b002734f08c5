"""Add memories: verbatim at once, or as facts that a durable job extracts."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.core.errors import BadRequest
from app.core.ports import Role
from app.core.resources import Resources
from app.core.storable_text import is_blank
from app.gateways.mem0.events.wait import wait_for_event
from app.gateways.mem0.memories.addressing import read_origin, resolve_known_namespace, resolve_namespace
from app.gateways.mem0.memories.schemas import AddMemories
from app.gateways.mem0.memories.warnings import add_warnings
from app.gateways.mem0.project_check import check_project_matches
from app.gateways.mem0.responses import JsonObject
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.edit import keep_document_path
from app.memory.extraction import is_never_stored, leave_out_exchanges
from app.memory.importance import check_importance, importance_in
from app.memory.ledger import CallInstructions, Door, Kind, NewMemory, Outcome, Remembered
from app.memory.origin import Origin
from app.memory.remember import Conversation, Message, queue_extraction, remember

# System messages inform the extraction but are not stored. The output of tools is ignored.
READ_ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
STORED = "Memories stored successfully"
LEFT_OUT = (
    "Nothing was stored: messages of users and assistants become memories, except those that ask not to be stored,"
    " or to forget, and the answers to them"
)


@dataclass(frozen=True, slots=True)
class AddedThrough:
    """The API that a request came through, and the session whose deletion or pause cancels its extraction."""

    door: Door = Door.MEM0
    session_id: UUID | None = None


THROUGH_MEM0 = AddedThrough()


async def add_memories(
    resources: Resources, caller: Caller, request: AddMemories, through: AddedThrough = THROUGH_MEM0
) -> JsonObject:
    """`async_mode: false` waits until the extraction is finished."""
    check_project_matches(caller, request)
    origin = read_origin(request.origin, request.filters)
    check_importance(request.metadata or {})
    keep_document_path({}, request.metadata or {})
    request = request.model_copy(update={"timestamp": read_said_at(request)})
    messages = leave_out_exchanges(_read_messages(request), is_never_stored)
    extracts = request.infer and messages
    add = _queue_extraction if extracts else _store_verbatim
    added = await add(resources, caller, request, origin, messages, through)
    if extracts and not request.async_mode:
        added |= await wait_for_event(resources, caller, added["event_id"])
    return {**added, **add_warnings(request, has_model=resources.config.has_model)}


def _read_messages(request: AddMemories) -> list[Message]:
    messages: list[Message] = [
        {"role": READ_ROLES[message.role], "content": message.text}
        for message in request.messages
        if not is_blank(message.text) and message.role in READ_ROLES
    ]
    if not messages:
        raise BadRequest("`messages` contains no text of a user or an assistant, so there is nothing to remember")
    return messages


def read_said_at(request: AddMemories) -> dt.datetime | None:
    """`timestamp`, or what mem0's older clients send: a date or time, in a time zone of its own."""
    given = request.observation_datetime or request.observation_date
    if request.timestamp is not None or not given:
        return request.timestamp
    try:
        zone = ZoneInfo(request.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadRequest("`timezone` takes the name of a time zone, such as Europe/Berlin") from None
    try:
        moment = dt.datetime.fromisoformat(given)
        # In UTC, because Postgres keeps years that Python cannot read, and refuses some offsets that Python reads.
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise BadRequest("`observation_date` takes a date or a time, such as 2026-01-31T09:30:00") from None


async def _queue_extraction(
    resources: Resources,
    caller: Caller,
    request: AddMemories,
    origin: Origin,
    messages: Sequence[Message],
    through: AddedThrough,
) -> JsonObject:
    async with caller_transaction(resources.database, caller) as tx:
        namespace, origin = await resolve_namespace(tx, caller, origin, request.profile_id)
        event_id = await queue_extraction(tx, namespace, build_conversation(request, origin, messages, through))
    return {
        "message": "Memory processing has been queued for background execution",
        "status": "PENDING",
        "event_id": event_id,
    }


def build_conversation(
    request: AddMemories, origin: Origin, messages: Sequence[Message], through: AddedThrough = THROUGH_MEM0
) -> Conversation:
    return Conversation(
        messages=messages,
        origin=origin,
        metadata=request.metadata or {},
        instructions=CallInstructions(
            own=request.custom_instructions,
            agents=request.agent_custom_instructions,
            includes=request.includes,
            excludes=request.excludes,
        ),
        categories=request.custom_categories,
        expires_on=request.expiration_date,
        immutable=request.immutable,
        said_at=request.timestamp,
        door=through.door,
        session_id=through.session_id,
    )


async def _store_verbatim(
    resources: Resources,
    caller: Caller,
    request: AddMemories,
    origin: Origin,
    messages: Sequence[Message],
    through: AddedThrough,
) -> JsonObject:
    namespace, origin = await resolve_known_namespace(resources.database, caller, origin, request.profile_id)
    new = build_episodes(request, origin, messages, through.door)
    added = await remember(resources, namespace, new, categories=request.custom_categories)
    return {
        "message": STORED if new else LEFT_OUT,
        "status": "SUCCEEDED",
        "event_id": added.event_id,
        "results": [render_added(result) for result in added.results],
    }


def build_episodes(
    request: AddMemories, origin: Origin, messages: Sequence[Message], door: Door = Door.MEM0
) -> list[NewMemory]:
    """One episode for each message of a user or an assistant, each with the message before it as context."""
    turns = [(Role(each["role"]), each["content"]) for each in messages if each["role"] != Role.SYSTEM]
    contexts = [None, *(text for _, text in turns)]
    return [
        NewMemory(
            content=text,
            kind=Kind.EPISODE,
            role=role,
            context=context,
            origin=origin,
            metadata=request.metadata or {},
            importance=importance_in(request.metadata or {}),
            standing=request.standing,
            door=door,
            immutable=request.immutable,
            expires_on=request.expiration_date,
            created_at=request.timestamp,
            input=({"role": role, "content": text},),
        )
        for (role, text), context in zip(turns, contexts, strict=False)
    ]


def render_added(result: Remembered) -> JsonObject:
    event = "ADD" if result.outcome is Outcome.ADDED else "NONE"
    return {"id": result.id, "data": {"memory": result.content}, "event": event}
