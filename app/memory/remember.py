"""Remember: verbatim and at once, or what a model makes of a conversation, as a durable job."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Written
from app.core.jobs import deferral
from app.core.resources import Resources
from app.memory.extraction.instructions import Called
from app.memory.extraction.jobs import extract
from app.memory.indexing.changes import changes_of
from app.memory.ledger.new_memory import Added, NewMemory
from app.memory.ledger.repository import adding, remembered, telling
from app.memory.namespace import Namespace

Message = Mapping[str, str]
Categories = Sequence[Mapping[str, str]]
"""Name and description of each, as mem0's clients send them."""


async def remember(
    resources: Resources,
    namespace: Namespace,
    new: Sequence[NewMemory],
    *,
    deduplicate: bool = True,
    categories: Categories | None = None,
) -> Added:
    """Kept word for word: when this returns they are committed, and the next search of the namespace finds them.

    `categories` are those to choose from afterwards, instead of the project's."""
    event_id = uuid.uuid4()
    steps = adding(namespace, new, event_id, deduplicate=deduplicate, request=_categories_in(categories))
    rows = await resources.database.at_once(namespace.project_id, namespace.user_id, *steps)
    found = [(remembered(row), row.updated_at) for row in rows]
    await resources.index_queue.put(changes_of(namespace, new, found))
    return Added(event_id, [result for result, _ in found])


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is to be read for facts, and how."""

    messages: Sequence[Message]
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    instructions: Called = field(default_factory=Called)
    categories: Categories | None = None
    expires_on: dt.date | None = None
    immutable: bool = False
    said_at: dt.datetime | None = None
    source_message_id: UUID | None = None
    session_id: UUID | None = None
    """Deleting or pausing this session stops the extraction."""


async def queue_extraction(tx: AsyncSession, namespace: Namespace, conversation: Conversation) -> UUID:
    """The words and the job in the caller's transaction: neither exists without the other."""
    event_id, steps = extraction_of(namespace, conversation)
    for statement in steps:
        await tx.execute(*statement)
    return event_id


def extraction_of(namespace: Namespace, conversation: Conversation) -> tuple[UUID, list[Written]]:
    event_id = uuid.uuid4()
    event = telling(
        *(namespace, event_id, "ADD"),
        done=False,
        messages=[dict(message) for message in conversation.messages],
        request=_as_request(namespace, conversation),
        session_id=conversation.session_id,
    )
    project_id = str(namespace.project_id)
    job = deferral(extract, lock=f"memory:{namespace}", project_id=project_id, event_id=str(event_id))
    return event_id, [event, job]


def _categories_in(categories: Categories | None) -> dict[str, object]:
    return {"categories": [dict(each) for each in categories]} if categories else {}


def _as_request(namespace: Namespace, conversation: Conversation) -> dict[str, object]:
    return {
        "profile_id": str(namespace.profile_id) if namespace.profile_id else None,
        "agent_id": conversation.agent_id,
        "app_id": conversation.app_id,
        "run_id": conversation.run_id,
        "metadata": dict(conversation.metadata),
        "instructions": conversation.instructions.as_request(),
        **_categories_in(conversation.categories),
        "expires_on": conversation.expires_on.isoformat() if conversation.expires_on else None,
        "immutable": conversation.immutable,
        "said_at": conversation.said_at.isoformat() if conversation.said_at else None,
        "source_message_id": str(conversation.source_message_id) if conversation.source_message_id else None,
    }
