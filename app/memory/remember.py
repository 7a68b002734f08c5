"""Remember messages verbatim at once, or queue a job that extracts facts from a conversation."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import TextStatement
from app.core.jobs import defer_statement
from app.core.resources import Resources
from app.memory.extraction import extract
from app.memory.indexing import upserts_for_added
from app.memory.ledger import (
    CallInstructions,
    Door,
    EventRequest,
    NewMemory,
    Outcome,
    RememberResult,
    add_statements,
    count_added,
    event_statement,
    read_outcome,
)
from app.memory.namespace import Namespace
from app.memory.origin import Origin

Message = Mapping[str, str]
Categories = Sequence[dict[str, str]]
"""A name and a description of each, as mem0's clients send them."""


async def remember(
    resources: Resources,
    namespace: Namespace,
    new: Sequence[NewMemory],
    *,
    deduplicate: bool = True,
    categories: Categories | None = None,
) -> RememberResult:
    """When this returns, the memories are committed and the next search of the namespace finds them.

    `categories` replace the project's for these memories."""
    event_id = uuid.uuid4()
    request = EventRequest(categories=_stored_categories(categories))
    steps = add_statements(namespace, new, event_id, deduplicate=deduplicate, request=request)
    rows = await resources.database.pipeline(namespace.project_id, namespace.user_id, *steps)
    outcomes = [read_outcome(row) for row in rows]
    count_added(resources, namespace.project_id, sum(each.outcome is Outcome.ADDED for each, _ in outcomes))
    await resources.index_queue.put(upserts_for_added(namespace, new, outcomes))
    return RememberResult(event_id, [remembered for remembered, _ in outcomes])


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages to extract facts from, and the attributes that those facts get."""

    messages: Sequence[Message]
    origin: Origin = field(default_factory=Origin)
    metadata: Mapping[str, object] = field(default_factory=dict)
    instructions: CallInstructions = field(default_factory=CallInstructions)
    categories: Categories | None = None
    expires_on: dt.date | None = None
    immutable: bool = False
    said_at: dt.datetime | None = None
    source_message_id: UUID | None = None
    door: Door = Door.MEM0
    session_id: UUID | None = None
    """Deleting or pausing this session cancels the extraction."""


async def queue_extraction(tx: AsyncSession, namespace: Namespace, conversation: Conversation) -> UUID:
    event_id, steps = extraction_statements(namespace, conversation)
    for statement in steps:
        await tx.execute(*statement)
    return event_id


def extraction_statements(namespace: Namespace, conversation: Conversation) -> tuple[UUID, list[TextStatement]]:
    """The event with its messages, and the job: for one transaction, so that neither exists without the other."""
    event_id = uuid.uuid4()
    event = event_statement(
        namespace,
        event_id,
        "ADD",
        done=False,
        messages=[dict(message) for message in conversation.messages],
        request=_build_request(namespace, conversation),
        session_id=conversation.session_id,
    )
    project_id = str(namespace.project_id)
    job = defer_statement(extract, lock=f"memory:{namespace}", project_id=project_id, event_id=str(event_id))
    return event_id, [event, job]


def _stored_categories(categories: Categories | None) -> list[dict[str, str]] | None:
    return list(categories) if categories else None


def _build_request(namespace: Namespace, conversation: Conversation) -> EventRequest:
    return EventRequest(
        profile_id=namespace.profile_id,
        agent_id=conversation.origin.agent_id,
        app_id=conversation.origin.app_id,
        run_id=conversation.origin.run_id,
        metadata=dict(conversation.metadata),
        instructions=conversation.instructions,
        categories=_stored_categories(conversation.categories),
        expires_on=conversation.expires_on,
        immutable=conversation.immutable,
        said_at=conversation.said_at,
        source_message_id=conversation.source_message_id,
        door=conversation.door,
    )
