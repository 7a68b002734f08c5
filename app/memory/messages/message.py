import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from app.core.ports import Role
from app.memory.ledger import Kind, NewMemory
from app.memory.namespace import MessageNamespace
from app.memory.origin import Origin


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """A message that an application stores, before it is a row."""

    conversation_id: str
    role: Role
    content: str
    tenant_id: str | None = None
    user_id: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    importance: float | None = None
    created_at: dt.datetime | None = None
    id: UUID = field(default_factory=uuid.uuid4)

    def as_memory(self) -> NewMemory:
        return NewMemory(
            id=self.id,
            kind=Kind.MESSAGE,
            role=self.role,
            content=self.content,
            tenant_id=self.tenant_id,
            conversation_id=self.conversation_id,
            origin=Origin(user_id=self.user_id),
            metadata=self.metadata,
            categories=(),
            importance=self.importance,
            created_at=self.created_at,
        )

    def namespace(self, project_id: UUID, profiles: Mapping[str, UUID]) -> MessageNamespace:
        """`profiles` has the default profile of each user."""
        profile_id = profiles[self.user_id] if self.user_id is not None else None
        return MessageNamespace(project_id, self.user_id, profile_id, self.tenant_id)


def repeatable_id(project_id: UUID, draft: MessageDraft, key: str) -> UUID:
    """The same request with the same Idempotency-Key is the same message."""
    scope = [draft.tenant_id, draft.user_id, key]
    return uuid.uuid5(project_id, "\n".join(f"{len(part)}:{part}" if part is not None else "-" for part in scope))
