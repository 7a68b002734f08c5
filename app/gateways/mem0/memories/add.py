"""Add: word for word and at once, or what is worth remembering, found by a durable job."""

from collections.abc import Sequence

from app.core.errors import BadRequest
from app.core.ports import Role
from app.core.resources import Resources
from app.gateways.mem0.memories.addressing import Identity, find_home, home_of, identity_of
from app.gateways.mem0.memories.message_schemas import Said
from app.gateways.mem0.memories.schemas import AddMemories
from app.gateways.mem0.project_check import check_place
from app.gateways.mem0.responses import Answer
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.extraction.instructions import Called
from app.memory.ledger.new_memory import Kind, NewMemory, Outcome, Remembered
from app.memory.remember import Conversation, queue_extraction, remember

QUEUED = "Memory processing has been queued for background execution"
ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}
INSTRUCTED = {"system": Role.SYSTEM, "developer": Role.SYSTEM, **ROLES}
"""What a tool returned is nobody's words."""


async def add_memories(resources: Resources, caller: Caller, asked: AddMemories) -> Answer:
    check_place(caller, asked)
    identity = identity_of(asked.identity, asked.filters)
    said = [message for message in asked.messages if message.text.strip() and message.role in INSTRUCTED]
    if not said:
        raise BadRequest("There is nothing to remember: `messages` holds no text of a user or an assistant")
    return await (_queue if asked.infer else _keep)(resources, caller, asked, identity, said)


async def _queue(
    resources: Resources, caller: Caller, asked: AddMemories, identity: Identity, said: Sequence[Said]
) -> Answer:
    async with caller_transaction(resources.database, caller) as tx:
        namespace, whose = await home_of(tx, caller, identity, asked.profile_id)
        event_id = await queue_extraction(tx, namespace, as_conversation(asked, whose, said))
    return {"message": QUEUED, "status": "PENDING", "event_id": event_id}


def as_conversation(asked: AddMemories, whose: Identity, said: Sequence[Said]) -> Conversation:
    return Conversation(
        messages=[{"role": INSTRUCTED[each.role], "content": each.text} for each in said],
        agent_id=whose.agent_id,
        app_id=whose.app_id,
        run_id=whose.run_id,
        metadata=asked.metadata or {},
        instructions=Called(asked.custom_instructions, asked.agent_custom_instructions, asked.includes, asked.excludes),
        categories=asked.custom_categories,
        expires_on=asked.expiration_date,
        immutable=asked.immutable,
        said_at=asked.timestamp,
    )


async def _keep(
    resources: Resources, caller: Caller, asked: AddMemories, identity: Identity, said: Sequence[Said]
) -> Answer:
    namespace, whose = await find_home(resources.database, caller, identity, asked.profile_id)
    new = as_memories(asked, whose, said)
    added = await remember(resources, namespace, new, categories=asked.custom_categories)
    return {
        "message": "Memories stored successfully",
        "status": "SUCCEEDED",
        "event_id": added.event_id,
        "results": [as_result(each) for each in added.results],
    }


def as_memories(asked: AddMemories, whose: Identity, said: Sequence[Said]) -> list[NewMemory]:
    """System messages instruct an assistant: they are nothing to remember. Each turn knows the one before it."""
    turns = [(ROLES[each.role], each.text) for each in said if each.role in ROLES]
    before = [None, *(text for _, text in turns)]
    return [
        NewMemory(
            content=text,
            kind=Kind.EPISODE,
            role=role,
            context=earlier,
            agent_id=whose.agent_id,
            app_id=whose.app_id,
            run_id=whose.run_id,
            metadata=asked.metadata or {},
            immutable=asked.immutable,
            expires_on=asked.expiration_date,
            created_at=asked.timestamp,
            input=({"role": role, "content": text},),
        )
        for (role, text), earlier in zip(turns, before, strict=False)
    ]


def as_result(result: Remembered) -> Answer:
    event = "ADD" if result.outcome is Outcome.ADDED else "NONE"
    return {"id": result.id, "data": {"memory": result.content}, "event": event}
